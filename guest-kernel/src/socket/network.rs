//! The host's addresses: said, or given by DHCP; and where packets can go.

use super::plan::{NAME_SERVERS, Plan, Settings};
use super::stack::Stack;
use core::net::Ipv4Addr;
use heapless::Vec;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::dhcpv4;
use smoltcp::time::Duration;
use smoltcp::wire::{IpCidr, Ipv4Cidr};

/// The host's address to itself.
pub const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Bits of it that make the network.
pub const LOOPBACK_PREFIX: u8 = 8;

/// Nanoseconds after which the host tells itself its addresses anew. smoltcp forgets after a minute.
const ANNOUNCE_NS: u64 = 30_000_000_000;
/// Seconds between questions for a DHCP server: less than smoltcp's ten, since the bridge may need a
/// moment until it passes frames on.
const DISCOVER_S: u64 = 3;
/// Nanoseconds that an address is kept after the link was down while a server is asked for it again:
/// connections live on where the network is the same.
const KEPT_NS: u64 = 60_000_000_000;

/// Where the host's address comes from, and what it is now.
pub(super) struct Network {
    plan: Plan,
    settings: Option<Settings>,
    dhcp: Option<SocketHandle>,
    announced: Option<u64>,
    was_up: bool,
    /// Until when the address is kept that no server has given since the link was down.
    kept_until: Option<u64>,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            plan: Plan::Off,
            settings: None,
            dhcp: None,
            announced: None,
            was_up: false,
            kept_until: None,
        }
    }
}

impl Stack {
    /// The host's place in the network, while it has one.
    pub fn settings(&self) -> Option<&Settings> {
        self.network.settings.as_ref()
    }

    /// Where the host's address comes from.
    pub fn plan(&self) -> &Plan {
        &self.network.plan
    }

    /// Gets the host an address in another way. Connections from the old address end when it is
    /// another.
    pub fn set_plan(&mut self, plan: Plan) {
        if let Some(handle) = self.network.dhcp.take() {
            self.pool.remove(handle);
        }
        let settings = match &plan {
            Plan::Static(settings) => Some(settings.clone()),
            // Without an interface there is nobody to ask.
            Plan::Dhcp if self.link.has_interface() => {
                let mut client = dhcpv4::Socket::new();
                let mut retry = client.get_retry_config();
                retry.discover_timeout = Duration::from_secs(DISCOVER_S);
                client.set_retry_config(retry);
                self.network.dhcp = Some(self.pool.add(client));
                None
            }
            Plan::Dhcp | Plan::Off => None,
        };
        self.network.plan = plan;
        self.apply(settings);
    }

    /// Gives the host its addresses: always 127.0.0.1, and what the settings say.
    pub(super) fn apply(&mut self, settings: Option<Settings>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            let outside = settings.iter().map(|it| Ipv4Cidr::new(it.address, it.prefix));
            // The first is what packets to anywhere else come from.
            for cidr in outside.chain([Ipv4Cidr::new(LOOPBACK, LOOPBACK_PREFIX)]) {
                // There is room for two.
                let _ = addresses.push(IpCidr::Ipv4(cidr));
            }
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = settings.as_ref().and_then(|it| it.gateway) {
            // There is room for more than one.
            let _ = routes.add_default_ipv4_route(gateway);
        }
        self.network.settings = settings;
        self.network.announced = None;
        self.network.kept_until = None;
    }

    /// What is due before packets are handled: the host's addresses told to itself, and a new start
    /// of DHCP when the link has come up.
    pub(super) fn prepare(&mut self, now: u64) {
        if self.network.announced.is_none_or(|at| now.saturating_sub(at) >= ANNOUNCE_NS) {
            self.network.announced = Some(now);
            self.link.announce(LOOPBACK);
            if let Some(settings) = &self.network.settings {
                self.link.announce(settings.address);
            }
        }
        let is_up = self.link.is_up();
        if is_up
            && !self.network.was_up
            && let Some(handle) = self.network.dhcp
        {
            self.pool.get_mut::<dhcpv4::Socket<'_>>(handle).reset();
            self.network.kept_until =
                self.network.settings.as_ref().map(|_| now.saturating_add(KEPT_NS));
        }
        if self.network.kept_until.is_some_and(|until| now >= until) {
            self.apply(None);
        }
        self.network.was_up = is_up;
    }

    /// Takes over what DHCP has found out.
    pub(super) fn follow_dhcp(&mut self) {
        let Some(handle) = self.network.dhcp else { return };
        let event = self.pool.get_mut::<dhcpv4::Socket<'_>>(handle).poll();
        let settings = match event {
            None => return,
            // It is asked for again.
            Some(dhcpv4::Event::Deconfigured) if self.network.kept_until.is_some() => return,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => {
                let mut name_servers: Vec<Ipv4Addr, NAME_SERVERS> = Vec::new();
                name_servers.extend(config.dns_servers.iter().take(NAME_SERVERS).copied());
                let cidr = config.address;
                // What no host can have is no more believed from a server than from a person.
                Settings::new(cidr.address(), cidr.prefix_len()).ok().map(|mut settings| {
                    if let Some(router) = config.router {
                        let _ = settings.set_gateway(router);
                    }
                    settings.name_servers = name_servers;
                    settings
                })
            }
        };
        if settings.is_some() || self.network.settings.is_some() {
            self.apply(settings);
        }
    }

    /// Whether an address is the host's own.
    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.interface.has_ip_addr(address)
    }

    /// Where packets to an address come from. None: they cannot get there.
    pub(super) fn source_to(&self, address: Ipv4Addr) -> Option<Ipv4Addr> {
        if address.is_loopback() {
            return Some(LOOPBACK);
        }
        let settings = self.network.settings.as_ref()?;
        let reaches = settings.contains(address)
            || settings.gateway.is_some()
            || address.is_broadcast()
            || address.is_multicast();
        reaches.then_some(settings.address)
    }
}
