//! The table's data.

use crate::Ring;
use crate::seen::{Expect, IF, IOPL, Seen};

/// One form of one instruction, ready to be executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Each is described by its row.
pub enum Act {
    Sgdt,
    Sidt,
    Sldt,
    Smsw,
    Str,
    Pushf,
    PopfIf,
    PopfIopl,
    LarHypervisor,
    LarOwn,
    LslHypervisor,
    LslOwn,
    Verr,
    Verw,
    PushCs,
    PopEs,
    MovFromSs,
    MovToSs,
    CallFar,
    JmpFar,
    RetFar,
    Iret,
    IntOwn,
    IntOther,
    IntHypercall,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The instruction's name, as Robin and Irvine list it.
    pub instruction: &'static str,
    /// The form executed.
    pub form: &'static str,
    /// How to execute it.
    pub act: Act,
    /// What it does in Ring 0 on the bare machine.
    pub native: &'static str,
    /// What the PV ABI gives a kernel instead.
    pub instead: &'static str,
    /// What must be seen in Ring 1; `None`: only Ring 3 is of interest.
    pub ring1: Option<Expect>,
    /// What must be seen in Ring 3, where that differs.
    pub ring3: Option<Expect>,
}

impl Row {
    /// What must be seen in this ring; `None` when the row is not for it.
    pub fn expected(&self, ring: Ring) -> Option<Expect> {
        match ring {
            Ring::One => self.ring1,
            Ring::Three => self.ring3,
        }
    }
}

/// A #GP in Ring 1 with this error code, which in Ring 3 becomes a signal.
const fn gp(error: u32) -> Option<Expect> {
    Some(Expect::Exactly(Seen::Trap { vector: 13, error }))
}

const fn exactly(seen: Seen) -> Option<Expect> {
    Some(Expect::Exactly(seen))
}

const SEGV: Option<Expect> = exactly(Seen::Signal(11));

/// Flags outside Ring 0: interrupts open, no I/O privilege.
const OPEN: Option<Expect> = Some(Expect::Flags(IF | IOPL, IF));

/// The hypervisor's code segment, DPL 0, 64-bit.
pub(crate) const HYPERVISOR_CS: u16 = 0xe008;
/// The hypervisor's data segment, DPL 0.
pub(crate) const HYPERVISOR_DS: u16 = 0xe010;

/// All rows, grouped as in the literature: registers of the machine first, then the protection
/// system.
pub const ROWS: &[Row] = &[
    Row {
        instruction: "SGDT",
        form: "sgdt m",
        act: Act::Sgdt,
        native: "address and size of the kernel's GDT",
        instead: "set_gdt, update_descriptor; the kernel knows its own table",
        ring1: Some(Expect::Limit(0xe000, 0xefff)),
        ring3: None,
    },
    Row {
        instruction: "SIDT",
        form: "sidt m",
        act: Act::Sidt,
        native: "address and size of the kernel's IDT",
        instead: "set_trap_table: there is no guest IDT",
        ring1: Some(Expect::Limit(0x0fff, 0x0fff)),
        ring3: None,
    },
    Row {
        instruction: "SLDT",
        form: "sldt r",
        act: Act::Sldt,
        native: "the kernel's LDT selector",
        instead: "mmuext_op MMUEXT_SET_LDT; the selector is the hypervisor's (none: no LDT)",
        ring1: exactly(Seen::Selector(0)),
        ring3: None,
    },
    Row {
        instruction: "SMSW",
        form: "smsw r",
        act: Act::Smsw,
        native: "CR0 as the kernel set it",
        instead: "fpu_taskswitch; mov from CR0 traps and is emulated",
        // PE and NE are set; PG lies outside the 16 bits that are architectural.
        ring1: Some(Expect::Status(0x21, 0x21)),
        ring3: None,
    },
    Row {
        instruction: "STR",
        form: "str r",
        act: Act::Str,
        native: "the kernel's TSS selector",
        instead: "stack_switch; the TSS is the hypervisor's",
        ring1: Some(Expect::Reserved),
        ring3: None,
    },
    Row {
        instruction: "PUSHF",
        form: "pushf (masked)",
        act: Act::Pushf,
        native: "IF 0: interrupts are closed",
        instead: "evtchn_upcall_mask in vcpu_info, which is 1 here",
        ring1: OPEN,
        ring3: OPEN,
    },
    Row {
        instruction: "POPF",
        form: "popf IF=0",
        act: Act::PopfIf,
        native: "closes interrupts",
        instead: "evtchn_upcall_mask = 1; popf keeps IF silently",
        ring1: OPEN,
        ring3: OPEN,
    },
    Row {
        instruction: "POPF",
        form: "popf IOPL=3",
        act: Act::PopfIopl,
        native: "lets Ring 3 do I/O",
        instead: "physdev_op set_iopl, set_iobitmap",
        ring1: OPEN,
        ring3: None,
    },
    Row {
        instruction: "LAR",
        form: "lar r, 0xe008",
        act: Act::LarHypervisor,
        native: "rights of any segment in the table",
        instead: "segments of Ring 0 are not for the guest to see",
        ring1: exactly(Seen::Hidden),
        ring3: exactly(Seen::Hidden),
    },
    Row {
        instruction: "LAR",
        form: "lar r, cs",
        act: Act::LarOwn,
        native: "DPL 0",
        instead: "FLAT_RING1_CS, FLAT_RING3_CS have DPL 1, 3",
        // Present, DPL, code that can be read, 32-bit, granularity of pages.
        ring1: Some(Expect::Value(0x00c0_fa00, 0x00c0_ba00)),
        ring3: Some(Expect::Value(0x00c0_fa00, 0x00c0_fa00)),
    },
    Row {
        instruction: "LSL",
        form: "lsl r, 0xe010",
        act: Act::LslHypervisor,
        native: "limit of any segment in the table",
        instead: "segments of Ring 0 are not for the guest to see",
        ring1: exactly(Seen::Hidden),
        ring3: exactly(Seen::Hidden),
    },
    Row {
        instruction: "LSL",
        form: "lsl r, cs",
        act: Act::LslOwn,
        native: "the limit that the kernel chose",
        instead: "flat segments of the hypervisor, or set_gdt",
        ring1: Some(Expect::Value(0xf000_0fff, 0xf000_0fff)),
        ring3: None,
    },
    Row {
        instruction: "VERR",
        form: "verr 0xe010",
        act: Act::Verr,
        native: "ZF 1: Ring 0 may read it",
        instead: "(as LAR)",
        ring1: exactly(Seen::Hidden),
        ring3: exactly(Seen::Hidden),
    },
    Row {
        instruction: "VERW",
        form: "verw 0xe010",
        act: Act::Verw,
        native: "ZF 1: Ring 0 may write it",
        instead: "(as LAR)",
        ring1: exactly(Seen::Hidden),
        ring3: exactly(Seen::Hidden),
    },
    Row {
        instruction: "PUSH",
        form: "push cs",
        act: Act::PushCs,
        native: "RPL 0",
        instead: "kernel code expects RPL 1 (FLAT_RING1_CS)",
        ring1: exactly(Seen::Selector(0xe019)),
        ring3: exactly(Seen::Selector(0xe02b)),
    },
    Row {
        instruction: "POP",
        form: "pop es (0xe010)",
        act: Act::PopEs,
        native: "loads a segment of DPL 0",
        instead: "FLAT_RING1_DS; DPL is raised to 1 by set_gdt, update_descriptor",
        ring1: gp(HYPERVISOR_DS as u32),
        ring3: SEGV,
    },
    Row {
        instruction: "MOV",
        form: "mov r, ss",
        act: Act::MovFromSs,
        native: "RPL 0",
        instead: "kernel code expects RPL 1 (FLAT_RING1_SS)",
        ring1: exactly(Seen::Selector(0xe021)),
        ring3: exactly(Seen::Selector(0xe033)),
    },
    Row {
        instruction: "MOV",
        form: "mov ss, 0xe010",
        act: Act::MovToSs,
        native: "loads a stack of DPL 0",
        instead: "FLAT_RING1_SS; stack_switch for the stack of traps",
        ring1: gp(HYPERVISOR_DS as u32),
        ring3: SEGV,
    },
    Row {
        instruction: "CALL",
        form: "call 0xe008:0",
        act: Act::CallFar,
        native: "calls Ring 0 code, or through a gate",
        instead: "hypercalls; call gates are emulated",
        ring1: gp(HYPERVISOR_CS as u32),
        ring3: SEGV,
    },
    Row {
        instruction: "JMP",
        form: "jmp 0xe008:0",
        act: Act::JmpFar,
        native: "goes to Ring 0 code, or switches tasks",
        instead: "no way into Ring 0 but the hypercall",
        ring1: gp(HYPERVISOR_CS as u32),
        ring3: SEGV,
    },
    Row {
        instruction: "RET",
        form: "retf to 0xe008",
        act: Act::RetFar,
        native: "returns to Ring 0",
        instead: "a return never leads inwards",
        ring1: gp(HYPERVISOR_CS as u32),
        ring3: SEGV,
    },
    Row {
        instruction: "RET",
        form: "iret IF=0",
        act: Act::Iret,
        native: "restores IF with the rest",
        instead: "hypercall iret restores evtchn_upcall_mask",
        ring1: OPEN,
        ring3: OPEN,
    },
    Row {
        instruction: "INT n",
        form: "int 0x80",
        act: Act::IntOwn,
        native: "goes through the kernel's IDT",
        instead: "the hypervisor's IDT, then set_trap_table's entry",
        ring1: exactly(Seen::Trap { vector: 0x80, error: 0 }),
        ring3: exactly(Seen::Done),
    },
    Row {
        instruction: "INT n",
        form: "int 0x20",
        act: Act::IntOther,
        native: "goes through the kernel's IDT, whatever the gate's DPL",
        instead: "a gate of DPL 0: #GP to the kernel, code 8n+2",
        ring1: gp(0x20 * 8 + 2),
        ring3: SEGV,
    },
    Row {
        instruction: "INT n",
        form: "int 0x82",
        act: Act::IntHypercall,
        native: "goes through the kernel's IDT",
        instead: "hypercalls are for Ring 1 alone",
        ring1: None,
        ring3: SEGV,
    },
];
