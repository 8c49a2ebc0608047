//! `console_io(cmd, count, buffer)` and the ring of the PV console.

layouts! { in "io/console.h";
    /// The console page of a domU, shared with its back end: two rings of
    /// bytes. Indices run freely and wrap at 2^32; the place in a ring is the
    /// index modulo the ring's size. Each side writes only its own index: the
    /// back end `in_prod` and `out_cons`, the guest the other two.
    struct XenconsInterface("struct xencons_interface", 3088) {
        /// Bytes to the guest.
        r#in: [u8; 1024] => ["in"],
        /// Bytes from the guest.
        out: [u8; 2048],
        /// How far the guest has read `in`.
        in_cons: u32,
        /// How far the back end has written `in`.
        in_prod: u32,
        /// How far the back end has read `out`.
        out_cons: u32,
        /// How far the guest has written `out`.
        out_prod: u32,
    }
}

constants! { in "xen.h";
    /// Writes `count` bytes to the hypervisor's console; returns 0.
    CONSOLEIO_WRITE: u32 = 0 => "CONSOLEIO_write";
    /// Reads up to `count` bytes; returns how many.
    CONSOLEIO_READ: u32 = 1 => "CONSOLEIO_read";
}
