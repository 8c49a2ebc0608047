//! Stores to page tables under `VMASST_TYPE_writable_pagetables`.

use pv_abi::types::Mfn;
use pv_abi::{hypercall as nr, vectors, vm_assist};
use pv_tests::check;
use pv_tests::guest::{Guest, Page, Spec};

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
        // Not one that may map devices.
        let mut guest = Guest::with(Spec { privileged: false, ..Spec::default() });
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
    s.guest.regs.rax = 1;
    for offset in [1, 2, 3, 5, 6, 7] {
        assert!(!s.store(&MOV, offset), "{offset}");
    }
    assert!(!s.store(&[0x66, 0x89, 0x07], 1));
    assert!(!s.store(&[0x0f, 0xc7, 0x0f], 4));
    for code in [&[0xab][..], &[0x8b, 0x07], &[0xff, 0x17], &[0x50], &[0xf0, 0x89, 0x07]] {
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

#[test]
fn every_operation_on_memory_changes_the_entry() {
    let mut s = Setup::new();
    let check = |s: &mut Setup, entry: u64, flags: u64, code: &[u8], offset: u64, expected: u64| {
        // Not present: any bits.
        let at = (s.table.raw() << 12) + 8 * s.index as u64;
        assert_eq!(s.guest.mmu_update(&[(at, entry)]), (0, 1));
        (s.guest.regs.rax, s.guest.regs.rcx, s.guest.regs.rflags) = (0x10, 4, 0x202 | flags);
        assert!(s.store(code, offset), "{code:x?}");
        assert_eq!(s.entry(), expected, "{code:x?}");
    };
    let s = &mut s;
    check(s, 0x20e, 1, &[0x83, 0x17, 0x11], 0, 0x220); // adcl $0x11,(%edi), with carry
    check(s, 0x1212, 1, &[0x83, 0x1f, 0x11], 0, 0x1200); // sbbl $0x11,(%edi), with borrow
    check(s, 0x200, 0, &[0x11, 0x07], 0, 0x210); // adcl %eax,(%edi)
    check(s, 0x1fe, 0, &[0x66, 0xff, 0x47, 2], 2, 0x1_01fe); // incw, the second word
    check(s, 0x200, 0, &[0xfe, 0x4f, 1], 1, 0x100); // decb, the second byte
    check(s, 0x0, 0, &[0xf7, 0x57, 4], 4, 0xffff_ffff_0000_0000); // notl, the upper half
    check(s, 0x2, 0, &[0x66, 0xf7, 0x1f], 0, 0xfffe); // negw
    check(s, 0x300, 0, &[0xf0, 0x0f, 0xc1, 0x07], 0, 0x310); // lock xaddl %eax,(%edi)
    assert_eq!(s.guest.regs.rax, 0x300);
    check(s, 0x102, 0, &[0xc1, 0x27, 8], 0, 0x1_0200); // shll $8,(%edi)
    check(s, 0x1020, 0, &[0xd3, 0x2f], 0, 0x102); // shrl %cl,(%edi)
    check(s, 0x8000_0000, 0, &[0xd1, 0x3f], 0, 0xc000_0000); // sarl (%edi)
    check(s, 0x8000_0000, 0, &[0xc1, 0x07, 2], 0, 2); // roll $2,(%edi)
    check(s, 0x8004, 0, &[0x66, 0xd1, 0x0f], 0, 0x4002); // rorw (%edi)
    check(s, 0xf00, 0x40, &[0x0f, 0x95, 0x47, 1], 1, 0); // setne, the second byte
    check(s, 0xf00, 0, &[0x0f, 0x95, 0x47, 1], 1, 0x100);
}

#[test]
fn fills_and_copies_go_one_element_at_a_time() {
    let mut s = Setup::new();
    let entry = s.page.maddr() | P | AD;
    let source = s.guest.page();
    s.guest.machine().this().data_segments = [pv_abi::x86_32::FLAT_KERNEL_DS; 4];
    s.guest.write(source.va, &[entry | RW, 0]);
    // rep movsl: two of three elements.
    let code = [0xf3, 0xa5];
    let eip = u64::from(s.guest.code(&code));
    (s.guest.regs.rsi, s.guest.regs.rdi, s.guest.regs.rcx) = (source.va, s.at, 2);
    s.guest.page_fault(s.at, STORE);
    assert_eq!(s.guest.regs.rip, eip, "there is more");
    let r = &s.guest.regs;
    assert_eq!((r.rsi, r.rdi, r.rcx), (source.va + 4, s.at + 4, 1));
    s.guest.page_fault(s.at + 4, STORE);
    assert_eq!(s.guest.regs.rip, eip + 2);
    let r = &s.guest.regs;
    assert_eq!((r.rsi, r.rdi, r.rcx), (source.va + 8, s.at + 8, 0));
    assert_eq!((s.entry(), s.references()), (entry | RW, 1));
    // stosl, downwards.
    (s.guest.regs.rdi, s.guest.regs.rax, s.guest.regs.rflags) = (s.at, 0, 0x602);
    assert!(s.store(&[0xab], 0));
    assert_eq!((s.entry(), s.guest.regs.rdi), (0, s.at - 4));
    // What is copied is not there: a fault for reading, at its address.
    (s.guest.regs.rsi, s.guest.regs.rflags) = (0x1000, 0x202);
    let eip = s.guest.code(&[0xa5]);
    s.guest.page_fault(s.at, STORE);
    assert_eq!(s.guest.stack(), [0, eip]);
    let cr2 = s.guest.enter(|ctx| hypervisor::trap::control::read(ctx, 2));
    assert_eq!(cr2, Some(0x1000));
    s.guest.kernel_stack();
    // Through a segment that ends before.
    s.guest.set_gdt(&[0, 0x0040_b300_0000_0003]);
    s.guest.machine().this().data_segments[2] = 9;
    let eip = s.guest.code(&[0x64, 0xa5]);
    s.guest.regs.rsi = 1;
    s.guest.page_fault(s.at, STORE);
    assert_eq!(s.guest.at_handler(), Some(vectors::GENERAL_PROTECTION));
    assert_eq!(s.guest.stack(), [0, eip]);
    s.guest.kernel_stack();
    // A count of none does not fault; if it says so all the same, the code was changed.
    s.guest.regs.rcx = 0;
    assert!(!s.store(&[0xf3, 0xab], 0));
    assert_eq!(s.entry(), 0);
}

/// XSA-195: the bit number of `bts` and its kin leads to where the fault was, and nowhere else.
#[test]
fn xsa_195_bit_numbers_stay_within_the_operand() {
    let mut s = Setup::new();
    let (table, index) = (s.table.raw() << 12, s.index as u64);
    let neighbours =
        |s: &Setup| (s.guest.entry(s.table, s.index - 1), s.guest.entry(s.table, s.index + 1));
    let before = neighbours(&s);
    for number in [9u64, 41, 0x8000_0009, 0xffff_ffe9] {
        assert_eq!(s.guest.mmu_update(&[(table + 8 * index, 0)]), (0, 1));
        s.guest.regs.rcx = number;
        assert!(s.store(&[0x0f, 0xab, 0x0f], 0), "{number:#x}"); // btsl %ecx,(%edi)
        assert_eq!(s.entry(), 0x200);
        assert_eq!(neighbours(&s), before);
    }
}

/// XSA-200: `cmpxchg8b` is one of 8 bytes, whatever its prefixes.
#[test]
fn xsa_200_cmpxchg8b_has_eight_bytes_whatever_its_prefixes() {
    let mut s = Setup::new();
    let before = s.entry();
    for prefix in [0x66u8, 0xf2, 0xf3, 0x2e] {
        (s.guest.regs.rax, s.guest.regs.rdx) = (before & 0xffff_ffff, before >> 32);
        (s.guest.regs.rbx, s.guest.regs.rcx) = (before & 0xffff_ffff | 0x200, before >> 32);
        assert!(s.store(&[prefix, 0xf0, 0x0f, 0xc7, 0x0f], 0), "{prefix:#x}");
        assert_eq!(s.entry(), before | 0x200);
        s.guest.regs.rax = 0;
        assert!(s.store(&[prefix, 0xf0, 0x0f, 0xc7, 0x0f], 0));
        assert_eq!(s.guest.regs.rax, before & 0xffff_ffff | 0x200);
        s.guest.regs.rbx = before & 0xffff_ffff;
        assert!(s.store(&[prefix, 0xf0, 0x0f, 0xc7, 0x0f], 0));
        assert_eq!(s.entry(), before);
    }
}
