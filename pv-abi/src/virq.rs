//! Virtual interrupts. A *vCPU* one is bound once a vCPU, for good; a *global*
//! one once a domain, first on vCPU 0, and can be moved.

constants! { in "xen.h";
    /// vCPU: a timer expired or the time base was updated.
    VIRQ_TIMER: u32 = 0;
    /// vCPU: the guest is asked to dump its state.
    VIRQ_DEBUG: u32 = 1;
    /// Global, domain 0: bytes came in on the emergency console.
    VIRQ_CONSOLE: u32 = 2;
    /// Global, domain 0: something happened to some domain.
    VIRQ_DOM_EXC: u32 = 3;
    /// Global, domain 0: the trace buffer has records.
    VIRQ_TBUF: u32 = 4;
    /// Global, domain 0: a domain was paused for debugging.
    VIRQ_DEBUGGER: u32 = 6;
    /// vCPU: profiling sample.
    VIRQ_XENOPROF: u32 = 7;
    /// Global, domain 0: bytes came in on the console.
    VIRQ_CON_RING: u32 = 8;
    /// Global, domain 0: a physical CPU's state changed.
    VIRQ_PCPU_STATE: u32 = 9;
    /// Global, domain 0: a memory event.
    VIRQ_MEM_EVENT: u32 = 10;
    /// Global: Argo message.
    VIRQ_ARGO: u32 = 11;
    /// Global, domain 0: the hypervisor is low on memory.
    VIRQ_ENOMEM: u32 = 12;
    /// vCPU: performance counter interrupt.
    VIRQ_XENPMU: u32 = 13;
    /// Architecture's own, of 8; on x86 the first is the machine check (MCA)
    /// of domain 0 (Xen's `xen-mca.h` states that).
    VIRQ_ARCH_0: u32 = 16;
    /// Architecture's own.
    VIRQ_ARCH_1: u32 = 17;
    /// Architecture's own.
    VIRQ_ARCH_2: u32 = 18;
    /// Architecture's own.
    VIRQ_ARCH_3: u32 = 19;
    /// Architecture's own.
    VIRQ_ARCH_4: u32 = 20;
    /// Architecture's own.
    VIRQ_ARCH_5: u32 = 21;
    /// Architecture's own.
    VIRQ_ARCH_6: u32 = 22;
    /// Architecture's own.
    VIRQ_ARCH_7: u32 = 23;
    /// Number of virtual interrupts.
    NR_VIRQS: u32 = 24;
}
