//! Both halves of a device against each other, over a store, event channels and grants in this
//! process.

mod block;
mod connect;
mod hostile;
mod interleave;
mod threads;
mod world;
