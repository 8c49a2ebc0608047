//! What goes through pages that domains share: layouts only.

pub mod xs_wire;
