//! Stores to page tables under `VMASST_TYPE_writable_pagetables`.

use pv_abi::types::Mfn;
use pv_abi::{hypercall as nr, vectors, vm_assist};
use pv_tests::check;
use pv_tests::guest::{Guest, Page};

/// Error code of a store to a present page by the kernel.
const STORE: u32 = 3;
const P: u64 = 1;
const RW: u64 = 2;
const AD: u64 = 0x60;

/// A guest that may write its tables; a page to map and the entry that maps it.
struct Setup {
    guest: Guest,
    page: Page,
    /// Machine frame and index of the entry.
    table: Mfn,
    index: usize,
    /// Address of the entry, in the read-only mapping.
    at: u64,
}

impl Setup {
    fn new() -> Setup {
        let mut guest = Guest::pv32();
        let bit = u64::from(vm_assist::VMASST_TYPE_WRITABLE_PAGETABLES);
        assert_eq!(guest.call(nr::VM_ASSIST, &[vm_assist::VMASST_CMD_ENABLE.into(), bit]), 0);
        guest.handlers();
        guest.kernel_stack();
        let page = guest.page();
        let (table, index) = guest.l1_entry_of(page.va).unwrap();
        let at = guest.va_of(table) + 8 * index as u64;
        Setup { guest, page, table, index, at }
    }

    /// Executes a store that faults at `at + offset`; whether it was carried out.
    fn store(&mut self, code: &[u8], offset: u64) -> bool {
        let eip = u64::from(self.guest.code(code));
        self.guest.page_fault(self.at + offset, STORE);
        check::invariants(&self.guest.sys);
        if self.guest.at_handler() == Some(vectors::PAGE_FAULT) {
            assert_eq!(self.guest.stack(), [STORE, eip as u32]);
            self.guest.kernel_stack();
            return false;
        }
        assert_eq!(self.guest.regs.rip, eip + code.len() as u64);
        true
    }

    fn entry(&self) -> u64 {
        self.guest.entry(self.table, self.index)
    }

    /// Type references of the page.
    fn references(&self) -> u64 {
        self.guest.sys.memory.frame(self.page.mfn).unwrap().load().type_count()
    }
}

const MOV: [u8; 2] = [0x89, 0x07];

#[test]
fn a_store_changes_the_entry_and_its_references() {
    let mut s = Setup::new();
    let present = s.page.maddr() | P | RW | AD;
    assert_eq!((s.entry(), s.references()), (present, 1));
    s.guest.regs.rax = 0;
    assert!(s.store(&MOV, 0));
    assert_eq!((s.entry(), s.references()), (0, 0));
    s.guest.regs.rax = s.page.maddr() | P | AD;
    assert!(s.store(&MOV, 0));
    assert_eq!((s.entry(), s.references()), (present & !RW, 0), "read-only");
    s.guest.regs.rax = present;
    assert!(s.store(&MOV, 0));
    assert_eq!((s.entry(), s.references()), (present, 1));
}

#[test]
fn every_size_merges_into_the_entry() {
    let mut s = Setup::new();
    let before = s.entry();
    s.guest.regs.rcx = 0x8000_0000;
    // The upper half: no execution.
    assert!(s.store(&[0x89, 0x0f], 4));
    assert_eq!(s.entry(), before | 1 << 63);
    // One byte: the software bits.
    s.guest.regs.rax = (before >> 8 & 0xff) | 0x0e;
    assert!(s.store(&[0x88, 0x07], 1));
    assert_eq!(s.entry(), before | 1 << 63 | 0xe00);
    s.guest.regs.rax = (before & 0xffff) | 0x800;
    assert!(s.store(&[0x66, 0x89, 0x07], 0));
    assert_eq!(s.entry(), before | 1 << 63 | 0x800);
    assert!(s.store(&[0x66, 0xc7, 0x07, 0, 0], 6));
    assert_eq!(s.entry(), before | 0x800);
}

#[test]
fn refused_entries_are_the_guests_fault() {
    let mut s = Setup::new();
    let before = s.entry();
    let foreign = pv_tests::guest::Spec { id: 1, privileged: false, ..Default::default() };
    let foreign = Guest::on(s.guest.sys.clone(), foreign).page().maddr();
    let table = s.table.raw() << 12;
    // A page table writable, nobody's frame, another's, large and uncached pages.
    for bad in [table | P | RW, P | RW, foreign | P, before | 1 << 7, before | 1 << 4] {
        s.guest.regs.rax = bad;
        assert!(!s.store(&MOV, 0), "{bad:#x}");
        assert_eq!((s.entry(), s.references()), (before, 1));
    }
    // Read-only is how page tables are mapped.
    s.guest.regs.rax = table | P;
    assert!(s.store(&MOV, 0));
}

#[test]
fn misaligned_stores_and_other_instructions_are_the_guests_fault() {
    let mut s = Setup::new();
    let before = s.entry();
    s.guest.regs.rax = 0;
    for offset in [1, 2, 3, 5, 6, 7] {
        assert!(!s.store(&MOV, offset), "{offset}");
    }
    assert!(!s.store(&[0x66, 0x89, 0x07], 1));
    assert!(!s.store(&[0x0f, 0xc7, 0x0f], 4));
    for code in [&[0xaa][..], &[0x8b, 0x07], &[0xff, 0x07], &[0x50], &[0xf0, 0x89, 0x07]] {
        assert!(!s.store(code, 0), "{code:x?}");
    }
    assert_eq!(s.entry(), before);
}

#[test]
fn only_the_kernels_stores_to_level_1_tables_count() {
    let mut s = Setup::new();
    let before = s.entry();
    s.guest.regs.rax = 0;
    let eip = s.guest.code(&MOV);
    // A user's store; a fetch; a read; a reserved bit.
    s.guest.in_user(eip, 0x2000);
    s.guest.page_fault(s.at, 7);
    assert_eq!(s.guest.at_handler(), Some(14));
    for code in [0, 1, 2, 0x11, 0xb] {
        s.guest.kernel_stack();
        s.guest.regs.rip = eip.into();
        s.guest.page_fault(s.at, code);
        assert_eq!(s.guest.at_handler(), Some(14), "{code:#x}");
    }
    assert_eq!(s.entry(), before);
    // The root and level 2.
    let tables: Vec<Mfn> = s.guest.tables.iter().copied().filter(|t| *t != s.table).collect();
    assert!(tables.len() >= 2);
    for table in tables {
        let (at, kept) = (s.at, s.guest.entry(table, 3));
        s.at = s.guest.va_of(table) + 24;
        assert!(!s.store(&MOV, 0));
        assert_eq!(s.guest.entry(table, 3), kept);
        s.at = at;
    }
    // A page that is mapped read-only but is no table.
    let entry = s.page.maddr() | P | AD;
    let args = [s.page.va, entry & 0xffff_ffff, entry >> 32, 2];
    assert_eq!(s.guest.call(nr::UPDATE_VA_MAPPING, &args), 0);
    s.at = s.page.va;
    assert!(!s.store(&MOV, 0));
    // The window.
    s.at = 0xf580_0000;
    assert!(!s.store(&MOV, 0));
}

#[test]
fn without_the_assist_nothing_is_emulated() {
    let mut s = Setup::new();
    let bit = u64::from(vm_assist::VMASST_TYPE_WRITABLE_PAGETABLES);
    s.guest.call(nr::VM_ASSIST, &[vm_assist::VMASST_CMD_DISABLE.into(), bit]);
    s.guest.regs.rax = 0;
    assert!(!s.store(&MOV, 0));
}

#[test]
fn an_upper_half_written_first_loses_its_present_bit() {
    let mut s = Setup::new();
    let before = s.entry();
    // The frame 0x100_0000 pages further up does not exist.
    s.guest.regs.rax = 0x10;
    assert!(s.store(&MOV, 4));
    assert_eq!((s.entry(), s.references()), ((before | 0x10 << 32) & !P, 0));
    // Back again, lower half last.
    s.guest.regs.rax = 0;
    assert!(s.store(&MOV, 4));
    s.guest.regs.rax = before & 0xffff_ffff;
    assert!(s.store(&MOV, 0));
    assert_eq!((s.entry(), s.references()), (before, 1));
}

#[test]
fn exchange_and_compare_exchange() {
    let mut s = Setup::new();
    let before = s.entry();
    s.guest.regs.rcx = before & 0xffff_ffff & !RW;
    assert!(s.store(&[0x87, 0x0f], 0)); // xchg %ecx,(%edi)
    assert_eq!((s.entry(), s.guest.regs.rcx), (before & !RW, before & 0xffff_ffff));

    // The wrong value is expected: nothing is written, and the right one is told.
    s.guest.regs.rax = 0x1234;
    assert!(s.store(&[0xf0, 0x0f, 0xb1, 0x0f], 0)); // lock cmpxchg %ecx,(%edi)
    assert_eq!((s.entry(), s.guest.regs.rax), (before & !RW, before & 0xffff_ffff & !RW));
    assert_eq!(s.guest.regs.rflags & 0x40, 0);
    assert!(s.store(&[0xf0, 0x0f, 0xb1, 0x0f], 0));
    assert_eq!((s.entry(), s.references()), (before, 1));
    assert_eq!(s.guest.regs.rflags & 0x40, 0x40);
}

#[test]
fn compare_exchange_of_a_whole_entry() {
    let mut s = Setup::new();
    let before = s.entry();
    let cmpxchg8b = [0xf0, 0x0f, 0xc7, 0x0f];
    (s.guest.regs.rax, s.guest.regs.rdx) = (0, 0);
    (s.guest.regs.rbx, s.guest.regs.rcx) = (0x1000, 0x8000_0000);
    assert!(s.store(&cmpxchg8b, 0));
    assert_eq!(s.guest.regs.rflags & 0x40, 0);
    assert_eq!((s.guest.regs.rax, s.guest.regs.rdx), (before & 0xffff_ffff, before >> 32));
    assert!(s.store(&cmpxchg8b, 0));
    assert_eq!((s.entry(), s.references()), (0x8000_0000_0000_1000, 0));
    assert_eq!(s.guest.regs.rflags & 0x40, 0x40);
    // What the new entry would map is not the guest's: refused, and the registers are as they were.
    (s.guest.regs.rax, s.guest.regs.rdx) = (0x1000, 0x8000_0000);
    s.guest.regs.rbx = 0x1001;
    let registers = s.guest.regs;
    assert!(!s.store(&cmpxchg8b, 0));
    assert_eq!((s.guest.regs.rax, s.guest.regs.rdx), (registers.rax, registers.rdx));
}

#[test]
fn bits_and_arithmetic_set_the_flags() {
    let mut s = Setup::new();
    let before = s.entry();
    s.guest.regs.rflags = 0x203;
    assert!(s.store(&[0xf0, 0x83, 0x27, 0xfd], 0)); // lock andl $~2,(%edi)
    assert_eq!((s.entry(), s.references()), (before & !RW, 0));
    assert_eq!(s.guest.regs.rflags & 0x841, 0);
    assert!(s.store(&[0xf0, 0x0f, 0xba, 0x2f, 1], 0)); // lock btsl $1,(%edi)
    assert_eq!((s.entry(), s.references()), (before, 1));
    assert_eq!(s.guest.regs.rflags & 1, 0, "the bit was clear");
    assert!(s.store(&[0xf0, 0x0f, 0xba, 0x37, 6], 0)); // lock btrl $6,(%edi): dirty
    assert_eq!(s.entry(), before & !0x40);
    assert_eq!(s.guest.regs.rflags & 1, 1);
}

#[test]
fn a_fault_that_the_mapping_does_not_explain_is_retried() {
    let mut s = Setup::new();
    s.guest.code(&MOV);
    let before = s.guest.regs;
    // The page is mapped writable: the processor used what it remembered.
    s.guest.page_fault(s.page.va, STORE);
    assert_eq!((s.guest.regs.rip, s.guest.regs.rsp), (before.rip, before.rsp));
}

#[test]
fn a_table_in_the_making_is_left_to_the_guest() {
    // Write-protected already, but no table yet.
    let mut s = Setup::new();
    let entry = s.page.maddr() | P | AD;
    let args = [s.page.va, entry & 0xffff_ffff, entry >> 32, 2];
    assert_eq!(s.guest.call(nr::UPDATE_VA_MAPPING, &args), 0);
    let at = std::mem::replace(&mut s.at, s.page.va);
    assert!(!s.store(&MOV, 0));
    s.at = at;
}
