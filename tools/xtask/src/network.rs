//! The machine's network: what its card is connected to, and which ports of this host lead in.
//!
//! The user network is QEMU's own and needs no rights: the machine reaches what this host reaches,
//! from behind it. It gives out addresses from [`FIRST`] on, in the order in which domains ask;
//! domain 0 is told one below, so the first address is the first domU's, and forwarded ports lead
//! there unless something else is said.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixListener};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};

/// The first address that the user network gives out.
pub const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// What the card is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// QEMU's network of its own.
    User,
    /// A tap device of this host, which exists and is ours to use.
    Tap(String),
    /// There is no card.
    None,
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Net, String> {
        match text {
            "user" => Ok(Net::User),
            "none" => Ok(Net::None),
            _ => match text.strip_prefix("tap=") {
                Some(name) if is_name(name) => Ok(Net::Tap(name.into())),
                Some(name) => Err(format!("{name:?} is no name of a network device")),
                None => Err("one of user, tap=NAME, none".into()),
            },
        }
    }
}

/// Whether it can be a network device's name, and stands for itself in QEMU's arguments.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..16).contains(&name.len()) && name.bytes().all(fits)
}

/// What runs over a forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// A port of this host, of 127.0.0.1 alone, that leads to a domain's: `8080:80`,
/// `8080:10.0.2.16:80`, `5353:53/udp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// What runs over it.
    pub protocol: Protocol,
    /// This host's port.
    pub host: u16,
    /// Which domain.
    pub address: Ipv4Addr,
    /// Its port.
    pub guest: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Forward, String> {
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.split('/').next().unwrap_or(text), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((_, other)) => return Err(format!("{other:?} is neither tcp nor udp")),
        };
        let parts: Vec<&str> = ports.split(':').collect();
        let (host, address, guest) = match parts[..] {
            [host, guest] => (host, FIRST, guest),
            [host, address, guest] => match address.parse() {
                Ok(address) => (host, address, guest),
                Err(_) => return Err(format!("{address:?} is no IPv4 address")),
            },
            _ => return Err("HOST:GUEST or HOST:ADDRESS:GUEST, with /tcp or /udp".into()),
        };
        Ok(Forward { protocol, host: port(host)?, address, guest: port(guest)? })
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no port (1 to 65535)")),
        Ok(port) => Ok(port),
    }
}

impl Forward {
    /// Takes this host's port for a machine that is about to start.
    ///
    /// # Errors
    /// Somebody has it, another machine too that has not yet begun to listen; or it is not ours to take.
    pub fn reserve(self) -> Result<Reserved> {
        let what = || format!("port {} of this host cannot be forwarded", self.host);
        let claim = format!("ferrule/{}/{}", self.protocol, self.host);
        let claim = net::SocketAddr::from_abstract_name(claim).with_context(what)?;
        let claim = UnixListener::bind_addr(&claim)
            .map_err(|_| anyhow!("it is forwarded already"))
            .with_context(what)?;
        let at = SocketAddr::from(([127, 0, 0, 1], self.host));
        match self.protocol {
            Protocol::Tcp => TcpListener::bind(at).map(drop),
            Protocol::Udp => UdpSocket::bind(at).map(drop),
        }
        .with_context(what)?;
        Ok(Reserved { forward: self, _claim: Arc::new(claim) })
    }
}

/// A forwarded port that no other machine takes.
///
/// QEMU, which listens, does so long after the port was looked at: two machines that start together
/// would both find it free. The claim is a socket in the abstract name space: it is this network
/// name space's, as ports are, and goes with its process.
#[derive(Clone, Debug)]
pub struct Reserved {
    forward: Forward,
    _claim: Arc<UnixListener>,
}

/// A network that was checked.
#[derive(Clone, Debug)]
pub struct Network {
    net: Net,
    forwards: Vec<Reserved>,
}

impl Network {
    /// What was asked for; none where there is to be no card.
    ///
    /// # Errors
    /// It does not fit together, or this host cannot do it.
    pub fn new(net: Net, forwards: Vec<Reserved>) -> Result<Option<Network>> {
        match &net {
            Net::User => {}
            Net::Tap(name) => {
                ensure!(
                    forwards.is_empty(),
                    "--forward is for --net user: behind a tap device \
                    domains have addresses of their own"
                );
                ensure!(
                    Path::new("/sys/class/net").join(name).exists(),
                    "this host has no network device {name}; make it: \
                     ip tuntap add {name} mode tap user $USER"
                );
            }
            Net::None => ensure!(forwards.is_empty(), "--forward needs a network: --net user"),
        }
        Ok((net != Net::None).then_some(Network { net, forwards }))
    }

    /// The word of domain 0's command line that gives it a place in the user network, so that it does
    /// not ask for the address that is to be the first domU's.
    pub fn word(&self) -> Option<&'static str> {
        const WORD: &str = "ip=10.0.2.14::10.0.2.2:255.255.255.0::::10.0.2.3";
        (self.net == Net::User).then_some(WORD)
    }

    /// QEMU's arguments for it.
    pub fn arguments(&self) -> [String; 4] {
        let netdev = match &self.net {
            Net::Tap(name) => format!("tap,id=net,ifname={name},script=no,downscript=no"),
            _ => self.forwards.iter().fold("user,id=net".into(), |netdev, reserved| {
                let Forward { protocol, host, address, guest } = reserved.forward;
                format!("{netdev},hostfwd={protocol}:127.0.0.1:{host}-{address}:{guest}")
            }),
        };
        // The driver in domain 0 knows modern devices; nobody boots from this one.
        let device = "virtio-net-pci,netdev=net,disable-legacy=on,romfile=".into();
        ["-netdev".into(), netdev, "-device".into(), device]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_card_is_connected_to_is_read() {
        assert_eq!("user".parse(), Ok(Net::User));
        assert_eq!("none".parse(), Ok(Net::None));
        assert_eq!("tap=tap0".parse(), Ok(Net::Tap("tap0".into())));
        for text in ["", "tap", "tap=", "tap=a,b", "tap=a b", "tap=sixteen-letters-", "bridge"] {
            assert!(text.parse::<Net>().is_err(), "{text}");
        }
    }

    #[test]
    fn forwarded_ports_are_read() {
        let forward = |protocol, host, address, guest| Forward { protocol, host, address, guest };
        assert_eq!("8080:80".parse(), Ok(forward(Protocol::Tcp, 8080, FIRST, 80)));
        assert_eq!("8080:80/tcp".parse(), Ok(forward(Protocol::Tcp, 8080, FIRST, 80)));
        let other = Ipv4Addr::new(10, 0, 2, 16);
        assert_eq!("5353:10.0.2.16:53/udp".parse(), Ok(forward(Protocol::Udp, 5353, other, 53)));
        for text in
            ["", "80", "80:", "0:80", "80:0", "80:65536", "80:80/sctp", "1:2:3", "a:b", "1:2:3:4"]
        {
            assert!(text.parse::<Forward>().is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_are_qemus() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let forward: Forward = format!("{port}:80").parse().unwrap();
        let refused = |why: &str| {
            let error = format!("{:#}", forward.reserve().unwrap_err());
            let expected = format!("port {port} of this host cannot be forwarded: {why}");
            assert!(error.starts_with(&expected), "{error}");
        };
        refused("Address already in use");
        drop(taken);
        let reserved = forward.reserve().unwrap();
        refused("it is forwarded already");
        let network = Network::new(Net::User, vec![reserved.clone()]).unwrap().unwrap();
        let netdev = format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:80");
        assert_eq!(network.arguments()[1], netdev);
        assert!(network.word().is_some_and(|word| word.starts_with("ip=10.0.2.14:")));
        assert!(Network::new(Net::None, vec![]).unwrap().is_none());
        assert!(Network::new(Net::None, vec![reserved]).is_err());
        drop(network);
        forward.reserve().unwrap();
        let tap = |name: &str| Network::new(Net::Tap(name.into()), vec![]);
        assert!(tap("no-such-device").unwrap_err().to_string().contains("ip tuntap add"));
        let tap = tap("lo").unwrap().unwrap();
        assert_eq!(tap.arguments()[1], "tap,id=net,ifname=lo,script=no,downscript=no");
    }
}
