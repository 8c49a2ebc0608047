//! Grant tables, through the dispatch, between domains.

mod advisories;
mod copy;
mod death;
mod map;
mod sequences;
mod table;
mod transfer;
mod world;
