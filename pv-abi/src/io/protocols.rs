//! Values of the node `protocol`, by which a front end says in whose layout its requests are.

/// 32-bit guests.
///
/// C: `XEN_IO_PROTO_ABI_X86_32` in `xen/io/protocols.h`.
pub const XEN_IO_PROTO_ABI_X86_32: &str = "x86_32-abi";
/// 64-bit guests.
///
/// C: `XEN_IO_PROTO_ABI_X86_64` in `xen/io/protocols.h`.
pub const XEN_IO_PROTO_ABI_X86_64: &str = "x86_64-abi";
