//! PCI configuration space by ports 0xcf8 and 0xcfc, finding a function and opening it.

use super::dma::Machine;
use ring1::io::Ports;
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, VirtioPciError};

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// In the address: a configuration cycle is wanted.
const ENABLE: u32 = 1 << 31;
/// Configuration space: the interrupt line, as firmware left it.
const INTERRUPT_LINE: u8 = 0x3c;
/// Devices on a bus.
const DEVICES: u8 = 32;

/// Configuration space.
pub struct Configuration(Ports);

impl Configuration {
    /// By ports that the kernel may use.
    pub fn new(ports: Ports) -> Self {
        Self(ports)
    }

    fn select(&self, function: DeviceFunction, register: u8) {
        let DeviceFunction { bus, device, function } = function;
        let number = u32::from(bus) << 8 | u32::from(device) << 3 | u32::from(function);
        self.0.write(ADDRESS, ENABLE | number << 8 | u32::from(register & 0xfc));
    }

    /// The first device on bus 0 with this vendor (low half) and device (high half).
    pub fn find(&self, id: u32) -> Option<DeviceFunction> {
        self.all(id).next()
    }

    /// All devices on bus 0 with this vendor and device, in order.
    pub fn all(&self, id: u32) -> impl Iterator<Item = DeviceFunction> + '_ {
        (0..DEVICES)
            .map(|device| DeviceFunction { bus: 0, device, function: 0 })
            .filter(move |function| self.read_word(*function, 0) == id)
    }

    /// The wire that the function interrupts by.
    fn irq(&self, function: DeviceFunction) -> u32 {
        self.read_word(function, INTERRUPT_LINE) & 0xff
    }
}

impl ConfigurationAccess for Configuration {
    fn read_word(&self, device_function: DeviceFunction, register_offset: u8) -> u32 {
        self.select(device_function, register_offset);
        self.0.read(DATA)
    }

    fn write_word(&mut self, device_function: DeviceFunction, register_offset: u8, data: u32) {
        self.select(device_function, register_offset);
        self.0.write(DATA, data);
    }

    #[allow(unsafe_code)] // UNSAFETY: the trait's; copies nothing that has an owner.
    unsafe fn unsafe_clone(&self) -> Self {
        unreachable!("only enumerate_bus of virtio-drivers wants a copy")
    }
}

/// Has a function answer, and lets it reach memory itself: its registers, and the wire that it
/// interrupts by.
///
/// # Errors
/// It is no virtio device by version 1, or out of order.
pub fn open(
    configuration: Configuration,
    function: DeviceFunction,
) -> Result<(PciTransport, u32), VirtioPciError> {
    let irq = configuration.irq(function);
    let mut root = PciRoot::new(configuration);
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER);
    Ok((PciTransport::new::<Machine, _>(&mut root, function)?, irq))
}
