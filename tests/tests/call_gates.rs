//! Far transfers through call gates, which the processor refuses and the hypervisor makes.

use pv_abi::x86_32::{FLAT_KERNEL_CS, FLAT_KERNEL_DS, FLAT_KERNEL_SS, FLAT_USER_CS, FLAT_USER_SS};
use pv_abi::{hypercall as nr, mmu, vectors};
use pv_tests::guest::Guest;

const GP: u8 = vectors::GENERAL_PROTECTION;
const NP: u8 = vectors::SEGMENT_NOT_PRESENT;
const SS: u8 = vectors::STACK_SEGMENT;
const TS: u8 = vectors::INVALID_TSS;

/// Where the gates lead.
const TARGET: u32 = 0xc012_3456;

/// A 32-bit call gate.
fn gate(selector: u16, dpl: u64, parameters: u64) -> u64 {
    let offset = u64::from(TARGET);
    offset & 0xffff
        | u64::from(selector) << 16
        | parameters << 32
        | (0x8c | dpl << 5) << 40
        | (offset >> 16) << 48
}

/// Code of the kernel's ring, conforming, absent; for users; data; a stack with a limit.
const KERNEL: u64 = 0x00cf_bb00_0000_ffff;
const CONFORMING: u64 = 0x00cf_bf00_0000_ffff;
const ABSENT: u64 = 0x00cf_3b00_0000_ffff;
const USER: u64 = 0x00cf_fb00_0000_ffff;
const RING_2: u64 = 0x00cf_db00_0000_ffff;
const DATA: u64 = 0x00cf_b300_0000_ffff;
const SHORT: u64 = 0x0040_bb00_0000_ffff;

/// Selectors of what [`Setup::new`] puts into the GDT.
mod at {
    pub const KERNEL: u16 = 0x08;
    pub const CONFORMING: u16 = 0x10;
    pub const ABSENT: u16 = 0x18;
    pub const USER: u16 = 0x20;
    pub const RING_2: u16 = 0x28;
    pub const DATA: u16 = 0x30;
    pub const SHORT: u16 = 0x38;
    /// The gate.
    pub const GATE: u16 = 0x40;
    /// The second half of what the processor takes for a 64-bit gate, and the GDT's end.
    pub const END: u16 = 0x50;
}

struct Setup {
    guest: Guest,
    kernel_top: u32,
    user_top: u32,
}

impl Setup {
    fn new(gate: u64) -> Setup {
        let mut guest = Guest::pv32();
        let kernel_top = guest.handlers();
        let user = guest.page();
        assert_eq!(guest.update_va(user.va, user.maddr() | 0x67, mmu::UVMF_INVLPG), 0);
        guest.set_gdt(&[0, KERNEL, CONFORMING, ABSENT, USER, RING_2, DATA, SHORT, gate, 0]);
        guest.machine().this().data_segments = [FLAT_KERNEL_DS; 4];
        guest.kernel_stack();
        Setup { guest, kernel_top, user_top: user.va as u32 + 4096 }
    }

    /// A far call or jump to `selector` from ring `ring`, which raises #GP with it. `Err` is the
    /// exception that the guest gets, with its code.
    fn transfer(&mut self, opcode: u8, selector: u16, ring: u16) -> Result<u32, (u8, u32)> {
        let [low, high] = selector.to_le_bytes();
        self.execute(&[opcode, 0xaa, 0xbb, 0xcc, 0xdd, low, high], selector, ring)
    }

    fn execute(&mut self, code: &[u8], selector: u16, ring: u16) -> Result<u32, (u8, u32)> {
        let eip = self.guest.code(code);
        if ring == 3 {
            self.guest.in_user(eip, self.user_top - 64);
        } else {
            self.guest.regs.cs = FLAT_KERNEL_CS;
            self.guest.regs.ss = FLAT_KERNEL_SS;
            self.guest.kernel_stack();
        }
        self.guest.exception(GP, u32::from(selector & !3));
        if self.guest.regs.rip == u64::from(TARGET) {
            return Ok(eip + code.len() as u32);
        }
        let vector = self.guest.at_handler().expect("the target or an exception");
        let [code, at]: [u32; 2] = self.guest.stack();
        assert_eq!(at, eip, "a fault leaves the guest at the instruction");
        Err((vector, code))
    }
}

#[test]
fn a_call_within_the_kernel_pushes_the_way_back() {
    let mut s = Setup::new(gate(at::KERNEL, 1, 3));
    let before = s.guest.page().va;
    let next = s.transfer(0x9a, at::GATE, 1).unwrap();
    assert_eq!(s.guest.stack(), [next, u32::from(FLAT_KERNEL_CS)]);
    assert_eq!((s.guest.regs.cs, s.guest.regs.ss), (at::KERNEL | 1, FLAT_KERNEL_SS));
    assert!(s.guest.regs.rsp > before, "the stack that it was on");
}

#[test]
fn a_call_from_ring_3_switches_stacks_and_copies_parameters() {
    for parameters in [0u64, 2, 31] {
        let mut s = Setup::new(gate(at::KERNEL, 3, parameters));
        for i in 0..16 {
            let slot = u64::from(s.user_top) - 64 + 4 * i;
            s.guest.write(slot, &(0x1000 + i as u32));
        }
        if parameters == 31 {
            // They lie on the page above, too, which is the kernel's.
            assert_eq!(s.transfer(0x9a, at::GATE | 3, 3), Err((14, 5)));
            continue;
        }
        s.guest.mask_upcalls(parameters == 0);
        let next = s.transfer(0x9a, at::GATE | 3, 3).unwrap();
        let top = s.kernel_top - 16 - 4 * parameters as u32;
        assert_eq!(s.guest.regs.rsp as u32, top);
        assert_eq!((s.guest.regs.cs, s.guest.regs.ss), (at::KERNEL | 1, FLAT_KERNEL_SS));
        let [eip, cs]: [u32; 2] = s.guest.stack();
        assert_eq!((eip, cs), (next, u32::from(FLAT_USER_CS)), "no event mask in it");
        assert_eq!(s.guest.upcalls_masked(), parameters == 0, "it stays as it was");
        for i in 0..parameters {
            let word: u32 = s.guest.read(u64::from(top) + 8 + 4 * i);
            assert_eq!(u64::from(word), 0x1000 + i);
        }
        let [esp, ss]: [u32; 2] = s.guest.read(u64::from(s.kernel_top) - 8);
        assert_eq!((esp, ss), (s.user_top - 64, u32::from(FLAT_USER_SS)));
    }
}

#[test]
fn pointers_may_lie_in_memory() {
    let mut s = Setup::new(gate(at::KERNEL, 1, 0));
    let page = s.guest.page();
    s.guest.write(page.va + 0x10, &[0xffu8, 0xff, 0xff, 0xff, at::GATE as u8, 0]);
    s.guest.regs.rbx = page.va;
    let next = s.execute(&[0xff, 0x5b, 0x10], at::GATE, 1).unwrap(); // lcall *0x10(%ebx)
    assert_eq!(s.guest.stack(), [next, u32::from(FLAT_KERNEL_CS)]);
    let esp = s.guest.regs.rsp;
    s.execute(&[0xff, 0x6b, 0x10], at::GATE, 1).unwrap(); // ljmp *0x10(%ebx)
    assert_ne!(s.guest.regs.rsp, esp - 8, "a jump pushes nothing");
    assert_eq!(s.guest.regs.cs, at::KERNEL | 1);
    // Through a segment that may not be read, or a register: not ours.
    s.guest.machine().this().data_segments = [0; 4];
    assert_eq!(s.execute(&[0xff, 0x5b, 0x10], at::GATE, 1), Err((GP, at::GATE.into())));
    assert_eq!(s.execute(&[0xff, 0xdb], at::GATE, 1), Err((GP, at::GATE.into())));
}

#[test]
fn the_gate_says_who_may_use_it() {
    let code = u32::from(at::GATE);
    let mut kernels = Setup::new(gate(at::KERNEL, 1, 0));
    assert_eq!(kernels.transfer(0x9a, at::GATE | 3, 3), Err((GP, code)), "its DPL");
    assert_eq!(kernels.transfer(0x9a, at::GATE | 2, 1), Err((GP, code)), "the selector's RPL");
    assert!(kernels.transfer(0x9a, at::GATE | 1, 1).is_ok());
    let absent = gate(at::KERNEL, 3, 0) & !(1 << 47);
    // Absent, it is anything, and stays as it is: with a DPL it is no gate of ours.
    assert_eq!(Setup::new(absent).transfer(0x9a, at::GATE, 1), Err((GP, code)));
    let absent = absent & !(3 << 45) | 3 << 16;
    assert_eq!(Setup::new(absent).transfer(0x9a, at::GATE, 1), Err((NP, code)));
}

#[test]
fn where_it_leads_is_checked() {
    for (selector, ring, call, jump) in [
        (at::KERNEL, 1, Ok(at::KERNEL | 1), Ok(at::KERNEL | 1)),
        (at::KERNEL, 3, Ok(at::KERNEL | 1), Err((GP, at::KERNEL))),
        (at::CONFORMING, 1, Ok(at::CONFORMING | 1), Ok(at::CONFORMING | 1)),
        (at::CONFORMING, 3, Ok(at::CONFORMING | 3), Ok(at::CONFORMING | 3)),
        (at::ABSENT, 1, Err((NP, at::ABSENT)), Err((NP, at::ABSENT))),
        (at::USER, 1, Err((GP, at::USER)), Err((GP, at::USER))),
        (at::USER, 3, Ok(at::USER | 3), Ok(at::USER | 3)),
        // Nobody has a stack for Ring 2.
        (at::RING_2, 3, Err((GP, at::GATE)), Err((GP, at::RING_2))),
        (at::DATA, 1, Err((GP, at::DATA)), Err((GP, at::DATA))),
        // The target lies beyond its limit.
        (at::SHORT, 1, Err((GP, 0)), Err((GP, 0))),
        // A gate to a gate; an empty entry; past the GDT.
        (at::GATE, 1, Err((GP, at::GATE)), Err((GP, at::GATE))),
        (at::END, 1, Err((GP, at::END)), Err((GP, at::END))),
        (0x6000, 1, Err((GP, 0x6000)), Err((GP, 0x6000))),
        (0, 1, Err((GP, 0)), Err((GP, 0))),
        (FLAT_KERNEL_CS, 3, Ok(FLAT_KERNEL_CS), Err((GP, FLAT_KERNEL_CS & !3))),
    ] {
        for (opcode, expected) in [(0x9a, call), (0xea, jump)] {
            let mut s = Setup::new(gate(selector, 3, 0));
            let result = s.transfer(opcode, at::GATE | ring, ring);
            let expected = expected.map_err(|(vector, code)| (vector, u32::from(code)));
            let found = result.map(|_| s.guest.regs.cs);
            assert_eq!(found, expected, "{opcode:#x} to {selector:#x} from ring {ring}");
        }
    }
}

#[test]
fn the_inner_stack_is_checked() {
    let stack = |s: &mut Setup, ss: u64, sp: u64| {
        assert_eq!(s.guest.call(nr::STACK_SWITCH, &[ss, sp]), 0);
        s.guest.regs.cs = FLAT_USER_CS;
    };
    // A frame of the fault itself needs a good stack, too: the domain ends without one.
    for ss in [0x09u64, 0x1b, 0, 0xe033] {
        let mut s = Setup::new(gate(at::KERNEL, 3, 0));
        let top = u64::from(s.kernel_top);
        stack(&mut s, ss, top);
        let eip = s.guest.code(&[0x9a, 0, 0, 0, 0, at::GATE as u8 | 3, 0]);
        s.guest.in_user(eip, s.user_top - 64);
        s.guest.exception(GP, at::GATE.into());
        let ended = s.guest.crashed() || s.guest.at_handler() == Some(TS);
        assert!(ended, "{ss:#x}: {:?}", s.guest.at_handler());
    }
    // No room below.
    let mut s = Setup::new(gate(at::KERNEL, 3, 0));
    stack(&mut s, FLAT_KERNEL_SS.into(), 8);
    let eip = s.guest.code(&[0x9a, 0, 0, 0, 0, at::GATE as u8 | 3, 0]);
    s.guest.in_user(eip, s.user_top - 64);
    s.guest.exception(GP, at::GATE.into());
    assert!(s.guest.crashed() || s.guest.at_handler() == Some(SS));
}

/// XSA-298: gates and segments past the LDT's limit are none, whatever the frame holds there.
#[test]
fn xsa_298_nothing_is_read_past_the_ldts_end() {
    let mut s = Setup::new(0);
    let page = s.guest.descriptors(&[KERNEL, gate(0x04, 3, 0), KERNEL, gate(0x04, 3, 0)]);
    let set = |s: &mut Setup, entries: u64| {
        assert_eq!(s.guest.mmuext(mmu::MMUEXT_SET_LDT, 0, 0), 0);
        assert_eq!(s.guest.mmuext(mmu::MMUEXT_SET_LDT, page.va, entries), 0);
    };
    set(&mut s, 4);
    assert!(s.transfer(0x9a, 0x1c, 1).is_ok(), "entry 3");
    assert_eq!(s.guest.regs.cs, 0x05);
    set(&mut s, 3);
    assert_eq!(s.transfer(0x9a, 0x1c, 1), Err((GP, 0x1c)), "past the end");
    assert!(s.transfer(0x9a, 0x0c, 1).is_ok(), "entry 1");
    // A gate within, to a segment without.
    let mut s = Setup::new(0);
    let page = s.guest.descriptors(&[gate(0x14, 3, 0), 0, KERNEL]);
    assert_eq!(s.guest.mmuext(mmu::MMUEXT_SET_LDT, page.va, 2), 0);
    assert_eq!(s.transfer(0x9a, 0x04, 1), Err((GP, 0x14)));
    // The GDT's count is its end, too.
    let mut s = Setup::new(gate(at::KERNEL, 3, 0));
    let page = s.guest.descriptors(&[0, KERNEL, 0, 0, 0, 0, 0, 0, gate(at::KERNEL, 3, 0), 0]);
    let list = s.guest.arg(&[page.mfn.raw() as u32]);
    assert_eq!(s.guest.call(nr::SET_GDT, &[list, 8]), 0);
    assert_eq!(s.transfer(0x9a, at::GATE, 1), Err((GP, at::GATE.into())));
}

/// XSA-204's kind: a single step traps after a transfer that was made for the guest.
#[test]
fn a_single_step_traps_at_the_target() {
    let mut s = Setup::new(gate(at::KERNEL, 1, 0));
    s.guest.code(&[0x9a, 0, 0, 0, 0, at::GATE as u8, 0]);
    s.guest.mask_upcalls(false);
    s.guest.regs.rflags |= 0x100;
    s.guest.exception(GP, at::GATE.into());
    assert_eq!(s.guest.at_handler(), Some(vectors::DEBUG));
    assert_eq!(s.guest.stack::<2>(), [TARGET, u32::from(at::KERNEL | 1)]);
}

/// What is no transfer through a gate keeps the fault that it raised, its code with it.
#[test]
fn other_faults_with_a_selector_are_left_alone() {
    let mut s = Setup::new(gate(at::KERNEL, 3, 0));
    let [low, high] = at::KERNEL.to_le_bytes();
    for code in [
        &[0x8e, 0xd8][..],                            // a load of ds
        &[0xcb],                                      // lret
        &[0x9a, 0, 0, 0, 0, low, high],               // a call to a segment
        &[0xf0, 0x9a, 0, 0, 0, 0, at::GATE as u8, 0], // locked
        &[0xff, 0x10],                                // a near call
        &[0x9a, 0, 0],
    ] {
        assert_eq!(s.execute(code, 0x7c, 1), Err((GP, 0x7c)), "{code:x?}");
    }
}
