//! Both halves against each other over shared pages in this process, and each against an enemy.

mod bridge;
mod bytes;
mod connect;
mod hostile;
mod lab;
mod threads;
mod wire;
