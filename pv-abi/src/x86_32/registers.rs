//! CPU state of a 32-bit guest.

layouts! { in "arch-x86/xen-x86_32.h";
    /// General registers of a vCPU.
    struct CpuUserRegs("struct cpu_user_regs", 68) {
        /// EBX.
        ebx: u32,
        /// ECX.
        ecx: u32,
        /// EDX.
        edx: u32,
        /// ESI.
        esi: u32,
        /// EDI.
        edi: u32,
        /// EBP.
        ebp: u32,
        /// EAX.
        eax: u32,
        /// The hypervisor's own.
        error_code: u16,
        /// The hypervisor's own.
        entry_vector: u16,
        /// EIP.
        eip: u32,
        /// CS.
        cs: u16,
        /// The upcall mask as it was; `!eflags.IF`.
        saved_upcall_mask: u8,
        /// Padding.
        _pad0: u8,
        /// EFLAGS.
        eflags: u32,
        /// ESP.
        esp: u32,
        /// SS.
        ss: u16,
        /// Padding.
        _pad1: u16,
        /// ES.
        es: u16,
        /// Padding.
        _pad2: u16,
        /// DS.
        ds: u16,
        /// Padding.
        _pad3: u16,
        /// FS.
        fs: u16,
        /// Padding.
        _pad4: u16,
        /// GS.
        gs: u16,
        /// Padding.
        _pad5: u16,
    }

    /// Where a callback enters the guest (`xen_callback_t`).
    struct Callback("struct xen_callback", 8) {
        /// Code selector.
        cs: u32,
        /// Offset.
        eip: u32,
    }

    /// One entry of `set_trap_table`; the table ends with an `address` of 0.
    struct TrapInfo("struct trap_info", 8) {
        /// Exception vector.
        vector: u8,
        /// [`crate::traps::TI_DPL_MASK`] and [`crate::traps::TI_IF`].
        flags: u8,
        /// Code selector of the handler.
        cs: u16,
        /// Offset of the handler.
        address: u32,
    }

    /// Initial state of a vCPU (`VCPUOP_initialise`).
    struct VcpuGuestContext("struct vcpu_guest_context", 2800) {
        /// FPU registers in FXSAVE form.
        fpu_ctxt: [u8; 512],
        /// Bits `VGCF_*` of [`crate::traps`].
        flags: u32,
        /// General registers.
        user_regs: CpuUserRegs,
        /// The virtual IDT.
        trap_ctxt: [TrapInfo; 256],
        /// Linear address of the LDT.
        ldt_base: u32,
        /// Entries of the LDT.
        ldt_ents: u32,
        /// Machine frames of the GDT.
        gdt_frames: [u32; 16],
        /// Entries of the GDT.
        gdt_ents: u32,
        /// Stack selector on entry to the kernel.
        kernel_ss: u32,
        /// Stack pointer on entry to the kernel.
        kernel_sp: u32,
        /// CR0 to CR7; CR3 as [`super::pfn_to_cr3`] forms it.
        ctrlreg: [u32; 8],
        /// DR0 to DR7.
        debugreg: [u32; 8],
        /// Code selector of the event callback.
        event_callback_cs: u32,
        /// Offset of the event callback.
        event_callback_eip: u32,
        /// Code selector of the failsafe callback.
        failsafe_callback_cs: u32,
        /// Offset of the failsafe callback.
        failsafe_callback_eip: u32,
        /// Bitmap of `VMASST_TYPE_*`.
        vm_assist: u32,
    }
}
