//! CPU state of a 64-bit guest.

/// Where a callback enters the guest (`xen_callback_t`): its address.
pub type Callback = u64;

layouts! { in "arch-x86/xen-x86_64.h";
    /// General registers of a vCPU.
    struct CpuUserRegs("struct cpu_user_regs", 200) {
        /// R15.
        r15: u64,
        /// R14.
        r14: u64,
        /// R13.
        r13: u64,
        /// R12.
        r12: u64,
        /// RBP.
        rbp: u64,
        /// RBX.
        rbx: u64,
        /// R11.
        r11: u64,
        /// R10.
        r10: u64,
        /// R9.
        r9: u64,
        /// R8.
        r8: u64,
        /// RAX.
        rax: u64,
        /// RCX.
        rcx: u64,
        /// RDX.
        rdx: u64,
        /// RSI.
        rsi: u64,
        /// RDI.
        rdi: u64,
        /// The hypervisor's own.
        error_code: u32,
        /// The hypervisor's own.
        entry_vector: u32,
        /// RIP.
        rip: u64,
        /// CS.
        cs: u16,
        /// Padding.
        _pad0: [u16; 1],
        /// The upcall mask as it was; `!rflags.IF`.
        saved_upcall_mask: u8,
        /// Padding.
        _pad1: [u8; 3],
        /// RFLAGS.
        rflags: u64,
        /// RSP.
        rsp: u64,
        /// SS.
        ss: u16,
        /// Padding.
        _pad2: [u16; 3],
        /// ES.
        es: u16,
        /// Padding.
        _pad3: [u16; 3],
        /// DS.
        ds: u16,
        /// Padding.
        _pad4: [u16; 3],
        /// FS.
        fs: u16,
        /// Padding.
        _pad5: [u16; 3],
        /// GS.
        gs: u16,
        /// Padding.
        _pad6: [u16; 3],
    }

    /// What the iret hypercall finds at RSP, lowest address first.
    struct IretContext("struct iret_context", 72) {
        /// RAX to return with.
        rax: u64,
        /// R11 to return with.
        r11: u64,
        /// RCX to return with.
        rcx: u64,
        /// 0 or [`super::VGCF_IN_SYSCALL`].
        flags: u64,
        /// RIP to return to.
        rip: u64,
        /// CS; its bits 1..0: 3 is user mode, else kernel mode.
        cs: u64,
        /// RFLAGS to return with; IF is the negated upcall mask.
        rflags: u64,
        /// RSP to return with.
        rsp: u64,
        /// SS to return with.
        ss: u64,
    }

    /// One entry of `set_trap_table`; the table ends with an `address` of 0.
    struct TrapInfo("struct trap_info", 16) {
        /// Exception vector.
        vector: u8,
        /// [`crate::traps::TI_DPL_MASK`] and [`crate::traps::TI_IF`].
        flags: u8,
        /// Code selector of the handler.
        cs: u16,
        /// Padding.
        _pad: [u8; 4] => [],
        /// Address of the handler.
        address: u64,
    }

    /// Initial state of a vCPU (`VCPUOP_initialise`).
    struct VcpuGuestContext("struct vcpu_guest_context", 5168) {
        /// FPU registers in FXSAVE form.
        fpu_ctxt: [u8; 512],
        /// Bits `VGCF_*` of [`crate::traps`].
        flags: u64,
        /// General registers.
        user_regs: CpuUserRegs,
        /// The virtual IDT.
        trap_ctxt: [TrapInfo; 256],
        /// Linear address of the LDT.
        ldt_base: u64,
        /// Entries of the LDT.
        ldt_ents: u64,
        /// Machine frames of the GDT.
        gdt_frames: [u64; 16],
        /// Entries of the GDT.
        gdt_ents: u64,
        /// Stack selector on entry to the kernel.
        kernel_ss: u64,
        /// Stack pointer on entry to the kernel.
        kernel_sp: u64,
        /// CR0 to CR7; `[3]` is the kernel's CR3, `[1]` the user's.
        ctrlreg: [u64; 8],
        /// DR0 to DR7.
        debugreg: [u64; 8],
        /// Address of the event callback.
        event_callback_eip: u64,
        /// Address of the failsafe callback.
        failsafe_callback_eip: u64,
        /// Address of the syscall callback.
        syscall_callback_eip: u64,
        /// Bitmap of `VMASST_TYPE_*`.
        vm_assist: u64,
        /// FS base.
        fs_base: u64,
        /// GS base of kernel mode.
        gs_base_kernel: u64,
        /// GS base of user mode.
        gs_base_user: u64,
    }
}
