//! What `ioctl` on a socket tells of the host's interfaces, and changes: the requests of `ifconfig`
//! and `route`, with Linux's numbers and layouts for i386.
//!
//! There are two interfaces: `lo`, and `eth0` while the domain has a network device. `lo` cannot be
//! changed; an address of `eth0` that is set is one that was said, as by `ip=`.

use super::Stack;
use super::address;
use super::network::{LOOPBACK, LOOPBACK_PREFIX};
use super::plan::{Plan, Settings, class_prefix, netmask_of, prefix_of};
use super::stack::Result;
use crate::errno::{EADDRNOTAVAIL, EINVAL, ENETUNREACH, ENODEV, ENOTTY, EPERM};
use core::net::{Ipv4Addr, SocketAddrV4};

/// Bytes of an interface's name with its NUL.
pub const NAME: usize = 16;
/// Bytes of `struct ifreq`: a name, and what is asked or answered.
pub const REQUEST: usize = 32;
/// Bytes of `struct rtentry` that are looked at: a word, three addresses, flags.
pub const ROUTE: usize = 56;

/// `SIOCGIFCONF`, whose argument is another than the rest's.
pub const GET_LIST: u32 = 0x8912;
/// `SIOCADDRT`, whose argument is a route.
pub const ADD_ROUTE: u32 = 0x890b;
/// `SIOCDELRT`, whose argument is a route.
pub const DELETE_ROUTE: u32 = 0x890c;

const GET_NAME: u32 = 0x8910;
const GET_FLAGS: u32 = 0x8913;
const SET_FLAGS: u32 = 0x8914;
const GET_ADDRESS: u32 = 0x8915;
const SET_ADDRESS: u32 = 0x8916;
const GET_PEER: u32 = 0x8917;
const GET_BROADCAST: u32 = 0x8919;
const SET_BROADCAST: u32 = 0x891a;
const GET_NETMASK: u32 = 0x891b;
const SET_NETMASK: u32 = 0x891c;
const GET_METRIC: u32 = 0x891d;
const GET_MTU: u32 = 0x8921;
const GET_HARDWARE: u32 = 0x8927;
const GET_INDEX: u32 = 0x8933;
const GET_QUEUE: u32 = 0x8942;
const GET_MAP: u32 = 0x8970;

/// `IFF_UP`, `IFF_BROADCAST`, `IFF_LOOPBACK`, `IFF_RUNNING`, `IFF_MULTICAST`.
const UP: u16 = 0x1;
const BROADCAST: u16 = 0x2;
const IS_LOOPBACK: u16 = 0x8;
const RUNNING: u16 = 0x40;
const MULTICAST: u16 = 0x1000;
/// `ARPHRD_ETHER`, `ARPHRD_LOOPBACK`.
const ETHERNET: u16 = 1;
const LOOPBACK_TYPE: u16 = 772;
/// `RTF_GATEWAY`.
const IS_GATEWAY: u16 = 0x2;

/// An interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interface {
    Lo,
    Eth0,
}

impl Interface {
    const ALL: [Self; 2] = [Self::Lo, Self::Eth0];

    fn name(self) -> &'static [u8] {
        match self {
            Self::Lo => b"lo",
            Self::Eth0 => b"eth0",
        }
    }

    /// Its number: from 1, as Linux counts.
    fn index(self) -> u32 {
        match self {
            Self::Lo => 1,
            Self::Eth0 => 2,
        }
    }
}

impl Stack {
    fn exists(&self, interface: Interface) -> bool {
        interface == Interface::Lo || self.link.has_interface()
    }

    /// The address and prefix of an interface.
    fn address_of(&self, interface: Interface) -> Option<(Ipv4Addr, u8)> {
        match interface {
            Interface::Lo => Some((LOOPBACK, LOOPBACK_PREFIX)),
            Interface::Eth0 => self.settings().map(|it| (it.address, it.prefix)),
        }
    }

    /// Answers a request of `struct ifreq`, in its place.
    ///
    /// # Errors
    /// ENODEV: no such interface; EADDRNOTAVAIL: it has no address; EPERM: it cannot be changed;
    /// EINVAL: not an address for it; ENOTTY: no such request.
    pub fn interface_request(&mut self, request: u32, bytes: &mut [u8; REQUEST]) -> Result {
        let interface = if request == GET_NAME {
            let index = u32::from_ne_bytes(word(bytes, NAME));
            Interface::ALL.into_iter().find(|it| it.index() == index)
        } else {
            let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            Interface::ALL.into_iter().find(|it| it.name() == name)
        };
        let interface = interface.filter(|it| self.exists(*it)).ok_or(ENODEV)?;
        if matches!(request, SET_FLAGS | SET_ADDRESS | SET_BROADCAST | SET_NETMASK) {
            let argument = *bytes;
            return self.change_interface(interface, request, &argument);
        }
        let is_lo = interface == Interface::Lo;
        let address = self.address_of(interface);
        let mut answer = [0; REQUEST - NAME];
        match request {
            GET_NAME => {
                bytes[..NAME].fill(0);
                bytes[..interface.name().len()].copy_from_slice(interface.name());
                return Ok(());
            }
            GET_FLAGS => put(&mut answer, &self.flags(interface).to_ne_bytes()),
            GET_METRIC | GET_QUEUE | GET_MAP => {}
            GET_MTU => put(&mut answer, &(self.link.mtu() as u32).to_ne_bytes()),
            GET_INDEX => put(&mut answer, &interface.index().to_ne_bytes()),
            GET_HARDWARE if is_lo => put(&mut answer, &LOOPBACK_TYPE.to_ne_bytes()),
            GET_HARDWARE => {
                put(&mut answer, &ETHERNET.to_ne_bytes());
                put(&mut answer[2..], &self.link.mac());
            }
            GET_ADDRESS | GET_PEER | GET_BROADCAST | GET_NETMASK => {
                let (ip, prefix) = address.ok_or(EADDRNOTAVAIL)?;
                let ip = match request {
                    GET_NETMASK => netmask_of(prefix),
                    GET_BROADCAST if is_lo => Ipv4Addr::UNSPECIFIED,
                    GET_BROADCAST => ip | !netmask_of(prefix),
                    _ => ip,
                };
                answer = address::encode(SocketAddrV4::new(ip, 0));
            }
            _ => return Err(ENOTTY),
        }
        bytes[NAME..].copy_from_slice(&answer);
        Ok(())
    }

    fn flags(&self, interface: Interface) -> u16 {
        if interface == Interface::Lo {
            return UP | IS_LOOPBACK | RUNNING;
        }
        let up = if *self.plan() == Plan::Off { 0 } else { UP };
        let running = if self.link.is_up() { RUNNING } else { 0 };
        up | running | BROADCAST | MULTICAST
    }

    fn change_interface(&mut self, interface: Interface, request: u32, bytes: &[u8]) -> Result {
        if interface == Interface::Lo {
            // It is up, which `ifconfig lo up` and `ifconfig lo 127.0.0.1` ask for at every boot.
            return match request {
                SET_FLAGS if bytes[NAME] & UP as u8 != 0 => Ok(()),
                SET_ADDRESS if *decode(bytes)?.ip() == LOOPBACK => Ok(()),
                SET_NETMASK | SET_BROADCAST => Ok(()),
                _ => Err(EPERM),
            };
        }
        let plan = match request {
            SET_FLAGS if bytes[NAME] & UP as u8 == 0 => Plan::Off,
            // What it is up with was said before, or will be.
            SET_FLAGS | SET_BROADCAST => return Ok(()),
            SET_ADDRESS => {
                let ip = *decode(bytes)?.ip();
                Plan::Static(Settings::new(ip, class_prefix(ip)).map_err(|_| EINVAL)?)
            }
            _ => {
                let netmask = *decode(bytes)?.ip();
                let prefix = prefix_of(netmask).map_err(|_| EINVAL)?;
                let old = self.settings().ok_or(EADDRNOTAVAIL)?;
                let mut new = Settings::new(old.address, prefix).map_err(|_| EINVAL)?;
                new.name_servers.clone_from(&old.name_servers);
                if let Some(gateway) = old.gateway {
                    // One that is on the network no more is none.
                    let _ = new.set_gateway(gateway);
                }
                Plan::Static(new)
            }
        };
        self.set_plan(plan);
        Ok(())
    }

    /// The interfaces as `SIOCGIFCONF` lists them: those that have an address.
    pub fn list_interfaces(&self) -> impl Iterator<Item = [u8; REQUEST]> {
        Interface::ALL.into_iter().filter(|it| self.exists(*it)).filter_map(|interface| {
            let (ip, _) = self.address_of(interface)?;
            let mut bytes = [0; REQUEST];
            bytes[..interface.name().len()].copy_from_slice(interface.name());
            bytes[NAME..].copy_from_slice(&address::encode(SocketAddrV4::new(ip, 0)));
            Some(bytes)
        })
    }

    /// Takes or gives up a gateway: the only route that there can be beside the network's own.
    ///
    /// # Errors
    /// ENETUNREACH: the gateway is not on the network; EINVAL: not a route by a gateway to
    /// everywhere.
    pub fn route_request(&mut self, request: u32, bytes: &[u8; ROUTE]) -> Result {
        let [destination, gateway, netmask] = [4, 20, 36].map(|at| ip(&bytes[at..]));
        let flags = u16::from_ne_bytes([bytes[52], bytes[53]]);
        if !destination.is_unspecified() || !netmask.is_unspecified() {
            return Err(EINVAL);
        }
        let mut settings = self.settings().cloned().ok_or(ENETUNREACH)?;
        if request == DELETE_ROUTE {
            settings.gateway = None;
        } else if flags & IS_GATEWAY != 0 {
            settings.set_gateway(gateway).map_err(|_| ENETUNREACH)?;
        } else {
            return Err(EINVAL);
        }
        self.set_plan(Plan::Static(settings));
        Ok(())
    }
}

fn put(answer: &mut [u8], bytes: &[u8]) {
    answer[..bytes.len()].copy_from_slice(bytes);
}

fn word(bytes: &[u8; REQUEST], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

/// The address in an `ifreq`. `ifconfig` leaves the family of a netmask out.
fn decode(bytes: &[u8]) -> Result<SocketAddrV4> {
    let address = &bytes[NAME..];
    if address::family(address)? == address::AF_UNSPEC {
        return Ok(SocketAddrV4::new(ip(address), 0));
    }
    address::decode(address)
}

/// The IP address in a `sockaddr_in`.
fn ip(address: &[u8]) -> Ipv4Addr {
    match *address {
        [_, _, _, _, a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d),
        _ => Ipv4Addr::UNSPECIFIED,
    }
}

/// The requests of programs, whose arguments are in their memory.
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod requests;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub(super) use requests::serve;
