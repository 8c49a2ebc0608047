//! Where the host's address comes from: the word `ip=` of the command line, in Linux's form.
//!
//! ```text
//! ip=dhcp                                                    also: on, any
//! ip=off                                                     also: none
//! ip=ADDRESS:SERVER:GATEWAY:NETMASK:NAME:DEVICE:HOW:DNS:DNS  every field may be empty or missing
//! ```
//!
//! (Linux: `Documentation/admin-guide/nfs/nfsroot.rst`.) The server, a file server's, is of no use
//! here, and there is one device, so its name says nothing; both are read over. Without a netmask it is that of the
//! address's class, as in Linux. `ADDRESS/PREFIX`, which Linux has not, saves counting colons.

use core::fmt;
use core::net::Ipv4Addr;
use heapless::Vec;

/// Most name servers that are kept.
pub const NAME_SERVERS: usize = 3;

/// Where the host's address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// There is none.
    Off,
    /// A server of the network gives it.
    Dhcp,
    /// It was said.
    Static(Settings),
}

/// The host's place in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The host's address.
    pub address: Ipv4Addr,
    /// Bits of the address that all hosts on the wire have in common.
    pub prefix: u8,
    /// Who passes packets on to other networks.
    pub gateway: Option<Ipv4Addr>,
    /// Who knows names.
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
}

/// A word that is not a plan: what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Not an address that a host could have.
    Address,
    /// Not a netmask, or not a prefix of 1 to 30 bits.
    Netmask,
    /// The gateway is not an address, or not on the wire.
    Gateway,
    /// A name server is not an address.
    NameServer,
    /// The seventh field is not a way to get an address.
    Method,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address is not one of a host",
            Self::Netmask => "the netmask is not one",
            Self::Gateway => "the gateway is not on the network",
            Self::NameServer => "a name server's address is not one",
            Self::Method => "the method is none of dhcp, on, any, static, off, none",
        })
    }
}

/// A method by its name. None: it is not one.
fn method(word: &str) -> Option<Plan> {
    match word {
        "dhcp" | "on" | "any" => Some(Plan::Dhcp),
        "off" | "none" => Some(Plan::Off),
        _ => None,
    }
}

impl Plan {
    /// The plan on a kernel's command line, that of its last word `ip=`. None: there is no such word.
    ///
    /// # Errors
    /// There is one, but it is not a plan.
    pub fn of_command_line(line: &str) -> Result<Option<Self>, Wrong> {
        let word = line.split_whitespace().filter_map(|word| word.strip_prefix("ip=")).next_back();
        word.map(Self::parse).transpose()
    }

    /// The plan that `text` (what stands behind `ip=`) says.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(plan) = method(text) {
            return Ok(plan);
        }
        let mut fields = text.split(':');
        let mut next = || fields.next().unwrap_or_default();
        let [address, _server, gateway, netmask, _name, _device, how] = [(); 7].map(|()| next());
        let is_static = matches!(how, "" | "static");
        if !is_static && address.is_empty() {
            return method(how).ok_or(Wrong::Method);
        }
        // Linux takes `off` behind an address for "do not ask anybody".
        if !is_static && method(how) != Some(Self::Off) {
            return method(how).ok_or(Wrong::Method);
        }
        let (address, prefix) = split(address, netmask)?;
        let mut settings = Settings::new(address, prefix)?;
        if !gateway.is_empty() {
            let gateway = gateway.parse().map_err(|_| Wrong::Gateway)?;
            settings.set_gateway(gateway)?;
        }
        for server in fields.filter(|field| !field.is_empty()) {
            let server = server.parse().map_err(|_| Wrong::NameServer)?;
            // More than are kept are not asked.
            let _ = settings.name_servers.push(server);
        }
        Ok(Self::Static(settings))
    }
}

/// The address and its prefix, from the first field and the netmask's.
fn split(address: &str, netmask: &str) -> Result<(Ipv4Addr, u8), Wrong> {
    let (address, prefix) = match address.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (address, None),
    };
    let address: Ipv4Addr = address.parse().map_err(|_| Wrong::Address)?;
    let prefix = match (prefix, netmask) {
        (Some(prefix), "") => prefix.parse().map_err(|_| Wrong::Netmask)?,
        (Some(_), _) => return Err(Wrong::Netmask),
        (None, "") => class_prefix(address),
        (None, netmask) => prefix_of(netmask.parse().map_err(|_| Wrong::Netmask)?)?,
    };
    Ok((address, prefix))
}

/// Bits of a netmask.
///
/// # Errors
/// Its ones are not all before its zeroes.
pub fn prefix_of(netmask: Ipv4Addr) -> Result<u8, Wrong> {
    let bits = netmask.to_bits();
    let prefix = bits.leading_ones();
    if bits.count_ones() == prefix { Ok(prefix as u8) } else { Err(Wrong::Netmask) }
}

/// The netmask with so many bits.
pub fn netmask_of(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
}

/// The prefix of the class that an address belongs to.
pub fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        192.. => 24,
    }
}

impl Settings {
    /// An address, with no way to other networks.
    ///
    /// # Errors
    /// No host can have the address, or the prefix leaves no room for two hosts.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Result<Self, Wrong> {
        if !(1..=30).contains(&prefix) {
            return Err(Wrong::Netmask);
        }
        let settings = Self { address, prefix, gateway: None, name_servers: Vec::new() };
        let is_of_host = !address.is_unspecified()
            && !address.is_loopback()
            && !address.is_multicast()
            && !address.is_broadcast()
            && address.octets()[0] != 0
            && address != settings.broadcast()
            && address != settings.network();
        if is_of_host { Ok(settings) } else { Err(Wrong::Address) }
    }

    /// Has packets to other networks go to a host of this one.
    ///
    /// # Errors
    /// It is not a host of this network.
    pub fn set_gateway(&mut self, gateway: Ipv4Addr) -> Result<(), Wrong> {
        let is_host =
            Self::new(gateway, self.prefix).is_ok_and(|it| it.network() == self.network());
        if !is_host || gateway == self.address {
            return Err(Wrong::Gateway);
        }
        self.gateway = Some(gateway);
        Ok(())
    }

    /// The netmask.
    pub fn netmask(&self) -> Ipv4Addr {
        netmask_of(self.prefix)
    }

    /// The first address of the network, which stands for it.
    pub fn network(&self) -> Ipv4Addr {
        self.address & self.netmask()
    }

    /// The address of all hosts of the network.
    pub fn broadcast(&self) -> Ipv4Addr {
        self.address | !self.netmask()
    }

    /// Whether an address is one of this network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address & self.netmask() == self.network()
    }
}
