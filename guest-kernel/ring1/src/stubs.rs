//! The trap stubs: from the hypervisor's frame to a [`TrapFrame`] and back, in assembly.
//!
//! **The way back** is `iret` in Ring 1, which knows nothing of `evtchn_upcall_mask`: an upcall is
//! entered with the mask set, and must be left with the mask clear and no upcall lost between. So
//! the last instructions are a *restartable section*: clear the mask, look whether an event became
//! pending meanwhile, `iret`. At each of them all registers are the interrupted program's already
//! and only its iret frame is on the stack. An upcall inside drops its own frame and so counts as
//! one that interrupted the program itself: nothing is lost, no stack grows. Pending events found
//! there are delivered by the iret *hypercall*, after which the hypervisor looks for events.
//!
//! Invariants:
//! - Ring 3 runs with the mask clear; the mask is cleared last, after [`WORK`] was found zero.
//! - A page fault is entered with upcalls masked and its address is taken before they are unmasked:
//!   the hypervisor has one place for it, which the next task's fault overwrites.
//! - An NMI comes though upcalls are masked, into the restartable section as well; its handler changes nothing there.
//! - fs and gs are not touched: they are the current process's while the kernel works. ds and es
//!   are saved, since the kernel needs them.
//! - A user's segment register that no longer loads (its descriptor changed) becomes null.
#![allow(unsafe_code)] // UNSAFETY: assembly, and the addresses that it defines.

use crate::trap::{
    FAILSAFE, PAGE_FAULT, SYSCALL, SYSTEM_CALL, TrapFrame, UPCALL, WORK, trap_dispatch, user_work,
};
use pv_abi::errno::Errno;
use pv_abi::traps::TI_IF;
use pv_abi::x86_32::{FLAT_RING1_CS, TrapInfo};

/// Registers the stubs with the hypervisor: traps, event callback, failsafe callback. Trap gates for
/// `int3`, `into` and `int 0x80` are open to Ring 3.
pub fn install() -> Result<(), Errno> {
    const VECTORS: [u8; 20] =
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, SYSCALL as u8];
    let mut table = [TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 }; VECTORS.len() + 1];
    for (index, (entry, vector)) in table.iter_mut().zip(VECTORS).enumerate() {
        let open = matches!(u32::from(vector), 3 | 4 | SYSCALL);
        let flags = match vector {
            2 | 14 => TI_IF,
            _ if open => 3,
            _ => 0,
        };
        // SAFETY: 1. The stubs' table has one address for each vector of the list, in its order.
        let address = unsafe { trap_stubs[index] };
        *entry = TrapInfo { vector, flags, cs: FLAT_RING1_CS, address };
    }
    crate::calls::set_trap_table(&table)?;
    crate::calls::set_callbacks(
        event_upcall as *const () as u32,
        failsafe_callback as *const () as u32,
    )
}

unsafe extern "C" {
    static trap_stubs: [u32; 20];
    fn event_upcall();
    fn failsafe_callback();
}

core::arch::global_asm!(
    r#"
    .set FRAME_CS, {cs}
    .set UPCALL_PENDING, shared_info_page + {pending}
    .set UPCALL_MASK, shared_info_page + {mask}

    .macro SAVE_ALL
        cld
        pushl %es
        pushl %ds
        pushl %eax
        pushl %ebp
        pushl %edi
        pushl %esi
        pushl %edx
        pushl %ecx
        pushl %ebx
        movl ${ring1_ds}, %eax
        movl %eax, %ds
        movl %eax, %es
    .endm
    /* Pops down to the iret frame. */
    .macro RESTORE_ALL
        popl %ebx
        popl %ecx
        popl %edx
        popl %esi
        popl %edi
        popl %ebp
        popl %eax
    771: popl %ds
    772: popl %es
        addl $12, %esp
        .pushsection .text.fixup, "ax", @progbits
    773: movl $0, (%esp)                /* null instead, and again */
        jmp 771b
    774: movl $0, (%esp)
        jmp 772b
        .popsection
        .pushsection .extable, "a", @progbits
        .long 771b, 773b, 772b, 774b
        .popsection
    .endm

    /* From a frame that a trap stub has completed to a handler and back. */
    .macro HANDLE_BY handler:vararg
        SAVE_ALL
        movl %esp, %eax
        pushl %eax
        call \handler
        addl $4, %esp
        testb $2, FRAME_CS(%esp)
        jnz trap_return_user
        RESTORE_ALL
        iret
    .endm

    /* A trap stub: completes the hypervisor's frame with error code (if the vector has none),
       vector, and 0 where a page fault has its address. */
    .macro TRAP vector, has_error
    trap_stub_\vector:
        .if \has_error == 0
        pushl $0
        .endif
        pushl $\vector
        pushl $0
        jmp trap_common
    .endm

    .pushsection .text, "ax", @progbits
    TRAP 0, 0
    TRAP 1, 0
    TRAP 3, 0
    TRAP 4, 0
    TRAP 5, 0
    TRAP 6, 0
    TRAP 7, 0
    TRAP 8, 1
    TRAP 9, 0
    TRAP 10, 1
    TRAP 11, 1
    TRAP 12, 1
    TRAP 13, 1
    TRAP 16, 0
    TRAP 17, 1
    TRAP 18, 0
    TRAP 19, 0

    /* System calls and page faults come most often, and have ways of their own. A page fault is entered
       with upcalls masked, so that nobody else's can change the address before it is read here. */
    .type trap_stub_128, @function
trap_stub_128:
    pushl $0
    pushl $128
    pushl $0
    HANDLE_BY *{system_call}

    .type trap_stub_14, @function
trap_stub_14:
    pushl $14
    pushl %ss:shared_info_page + {cr2}
    HANDLE_BY *{page_fault}

    /* Stack: address, vector, error, eip cs eflags [esp ss]. But for page faults upcalls are as the interrupted code had them. */
    .type trap_common, @function
trap_common:
    HANDLE_BY {dispatch}

    /* An NMI, upcalls masked. The iret hypercall tells the hypervisor that another may come, and
       gives the mask back as it was. Nothing else is done before Ring 3 goes on. */
trap_stub_2:
    pushl $0
    pushl $2
    pushl $0
    SAVE_ALL
    movl %esp, %eax
    pushl %eax
    call {dispatch}
    addl $4, %esp
    RESTORE_ALL
    jmp hypercall_page + 23 * 32        /* __HYPERVISOR_iret */

    /* Stack: TrapFrame of Ring 3. Masks upcalls, does what is to be done, goes back. */
    .globl trap_return_user
    .type trap_return_user, @function
trap_return_user:
    movb $1, UPCALL_MASK
    cmpl $0, {work}
    jne 1f
    RESTORE_ALL
    jmp upcall_exit
1:  movb $0, UPCALL_MASK
    cmpb $0, UPCALL_PENDING
    je 2f
    call {deliver}
2:  movl %esp, %eax
    pushl %eax
    call {user_work}
    addl $4, %esp
    jmp trap_return_user

    /* Stack: eip cs eflags [esp ss] of the interrupted; all registers its own; upcalls masked. */
upcall_exit:
restart_begin:
    movb $0, %ss:UPCALL_MASK
    cmpb $0, %ss:UPCALL_PENDING
    jne 3f
    iret
restart_end:
3:  jmp hypercall_page + 23 * 32        /* __HYPERVISOR_iret */

    .globl event_upcall
    .type event_upcall, @function
    /* The event callback. Stack: eip cs eflags [esp ss]; upcalls masked. */
event_upcall:
    testb $2, 4(%esp)
    jnz 1f
    cmpl $restart_begin, (%esp)
    jb 1f
    cmpl $restart_end, (%esp)
    jae 1f
    addl $12, %esp                      /* the interrupted's own frame lies above */
1:  pushl $0
    pushl ${upcall}
    pushl $0
    SAVE_ALL
    movl %esp, %eax
    pushl %eax
    call {dispatch}
    addl $4, %esp
    testb $2, FRAME_CS(%esp)
    jnz trap_return_user
    RESTORE_ALL
    jmp upcall_exit

    .globl failsafe_callback
    .type failsafe_callback, @function
    /* Stack: ds es fs gs eip cs eflags [esp ss]; a segment register could not be loaded. */
failsafe_callback:
    addl $16, %esp
    pushl $0
    pushl ${failsafe}
    pushl $0
    SAVE_ALL
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %esp, %eax
    pushl %eax
    call {dispatch}
    addl $4, %esp
    testb $2, FRAME_CS(%esp)
    jnz trap_return_user
    RESTORE_ALL
    iret
    .popsection

    .pushsection .rodata, "a", @progbits
    .balign 4
    .globl trap_stubs
trap_stubs:
    .long trap_stub_0, trap_stub_1, trap_stub_2, trap_stub_3, trap_stub_4, trap_stub_5
    .long trap_stub_6, trap_stub_7, trap_stub_8, trap_stub_9, trap_stub_10, trap_stub_11
    .long trap_stub_12, trap_stub_13, trap_stub_14, trap_stub_16, trap_stub_17, trap_stub_18
    .long trap_stub_19, trap_stub_128
    .popsection
    "#,
    cs = const core::mem::offset_of!(TrapFrame, cs),
    cr2 = const crate::shared::CR2_OFFSET,
    pending = const crate::shared::UPCALL_PENDING_OFFSET,
    mask = const crate::shared::UPCALL_MASK_OFFSET,
    ring1_ds = const pv_abi::x86_32::FLAT_RING1_DS,
    upcall = const UPCALL,
    failsafe = const FAILSAFE,
    work = sym WORK,
    dispatch = sym trap_dispatch,
    system_call = sym SYSTEM_CALL,
    page_fault = sym PAGE_FAULT,
    user_work = sym user_work,
    deliver = sym crate::events::deliver_pending,
    options(att_syntax)
);
