//! What depends on the processor: all assembly, all CPU state, all hardware registers.

pub mod x86_64;
