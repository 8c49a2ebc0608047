//! The server through its wire, one module a subject.

mod domains;
mod hostile;
mod model;
mod nodes;
mod permissions;
mod quotas;
mod transactions;
mod watches;
