//! Grant tables, through the dispatch, between domains.

mod advisories;
mod copy;
mod death;
mod map;
mod table;
mod transfer;
mod world;
