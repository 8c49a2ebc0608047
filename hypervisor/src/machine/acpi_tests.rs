//! ACPI parsing over a made-up BIOS.

use super::*;
use std::vec::Vec as List;

const ROOT: usize = 0xe_0010;
const LIST: usize = 0x1000;
const MADT: usize = 0x2000;

struct Bios(List<u8>);

impl Bios {
    /// Two processors of three enabled, one I/O APIC, COM1 wired 1:1, the timer to pin 2.
    fn new() -> Self {
        let mut bios = Self(std::vec![0; 0x10_0000]);
        bios.put(ROOT, b"RSD PTR ");
        bios.put(ROOT + 16, &(LIST as u32).to_le_bytes());
        bios.fix(ROOT, 20, ROOT + 8);
        let mut body = List::new();
        body.extend_from_slice(&0xfee0_0000u32.to_le_bytes());
        body.extend_from_slice(&1u32.to_le_bytes());
        body.extend_from_slice(&[0, 8, 0, 0, 1, 0, 0, 0]);
        body.extend_from_slice(&[0, 8, 1, 7, 1, 0, 0, 0]);
        body.extend_from_slice(&[0, 8, 2, 9, 0, 0, 0, 0]);
        body.extend_from_slice(&[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        body.extend_from_slice(&[2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&[2, 10, 0, 9, 9, 0, 0, 0, 0xf, 0]);
        body.extend_from_slice(&[4, 6, 0xff, 0, 0, 1]);
        bios.table(MADT, b"APIC", &body);
        bios.table(LIST, b"RSDT", &(MADT as u32).to_le_bytes());
        bios
    }
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn fix(&mut self, at: usize, length: usize, sum_at: usize) {
        self.0[sum_at] = 0;
        let sum = self.0[at..at + length].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        self.0[sum_at] = 0u8.wrapping_sub(sum);
    }
    fn table(&mut self, at: usize, signature: &[u8; 4], body: &[u8]) {
        self.put(at, signature);
        self.put(at + 4, &(HEADER + body.len() as u32).to_le_bytes());
        self.put(at + HEADER as usize, body);
        self.fix(at, HEADER as usize + body.len(), at + 9);
    }
    fn read(&self, at: u64, buffer: &mut [u8]) -> bool {
        let bytes = usize::try_from(at).ok().and_then(|at| self.0.get(at..at + buffer.len()));
        bytes.map(|bytes| buffer.copy_from_slice(bytes)).is_some()
    }
    fn madt(&self) -> Result<Madt, AcpiError> {
        let read = |at, buffer: &mut [u8]| self.read(at, buffer);
        read_madt(find_root_pointer(&read).ok_or(AcpiError::NoRootPointer)?, &read)
    }
}

fn apic_ids(madt: &Madt) -> List<u32> {
    madt.processors.iter().map(|cpu| cpu.apic_id).collect()
}

#[test]
fn the_madt_is_understood() {
    let madt = Bios::new().madt().unwrap();
    assert_eq!(madt.local_apic, 0xfee0_0000);
    assert_eq!(apic_ids(&madt), [0, 7]);
    assert_eq!(madt.processors.get(1), Some(&Processor { apic_id: 7, acpi_id: 1 }));
    assert_eq!(madt.io_apics, [IoApic { id: 0, address: 0xfec0_0000, gsi_base: 0 }]);
    assert_eq!(madt.isa_irq(4), (4, Signal::default()));
    assert_eq!(madt.isa_irq(0), (2, Signal::default()));
    assert_eq!(madt.isa_irq(9), (9, Signal { active_low: true, level: true }));
}

#[test]
fn the_root_pointer_may_be_in_the_ebda() {
    let mut bios = Bios::new();
    bios.put(ROOT, b"X");
    assert_eq!(bios.madt(), Err(AcpiError::NoRootPointer));
    bios.put(0x40e, &0x9fc0u16.to_le_bytes());
    bios.put(0x9_fc20, b"RSD PTR ");
    bios.put(0x9_fc20 + 16, &(LIST as u32).to_le_bytes());
    bios.fix(0x9_fc20, 20, 0x9_fc20 + 8);
    assert!(bios.madt().is_ok());
}

#[test]
fn an_xsdt_is_preferred() {
    let mut bios = Bios::new();
    bios.put(ROOT + 15, &[2]);
    bios.put(ROOT + 16, &0xffff_fff0u32.to_le_bytes());
    bios.put(ROOT + 20, &36u32.to_le_bytes());
    bios.put(ROOT + 24, &0x3000u64.to_le_bytes());
    bios.fix(ROOT, 20, ROOT + 8);
    bios.table(0x3000, b"XSDT", &(MADT as u64).to_le_bytes());
    assert_eq!(apic_ids(&bios.madt().unwrap()), [0, 7]);
}

#[test]
fn damage_is_found() {
    let good = Bios::new();
    for at in [MADT + 40, MADT + 60] {
        let mut bios = Bios(good.0.clone());
        bios.0[at] ^= 1;
        assert_eq!(bios.madt(), Err(AcpiError::BadTable("MADT")));
    }
    let mut bios = Bios(good.0.clone());
    bios.put(MADT + 4, &u32::MAX.to_le_bytes());
    assert_eq!(bios.madt(), Err(AcpiError::BadTable("MADT")));
    let mut bios = Bios(good.0.clone());
    bios.table(LIST, b"RSDT", &[]);
    assert_eq!(bios.madt(), Err(AcpiError::NoMadt));
}

#[test]
fn entries_cannot_loop_or_leave_the_table() {
    for body_end in [[0u8, 0], [0, 200], [0, 1]] {
        let mut bios = Bios::new();
        let mut body = List::from(0xfee0_0000u32.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&body_end);
        bios.table(MADT, b"APIC", &body);
        assert_eq!(bios.madt(), Err(AcpiError::BadTable("MADT")));
    }
}
