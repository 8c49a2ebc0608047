//! Memory: who has a frame, what it may be used as, and the guests' page tables.
//!
//! # Why frames have types
//!
//! A paravirtualized guest runs on page tables that it wrote itself: the MMU walks
//! the guest's own frames, full of machine addresses ("direct paging"). There is no
//! shadow and no second translation between a guest and the machine. So the
//! hypervisor must know, of every entry in every table that the MMU can reach, that
//! it maps nothing the guest may not have. It cannot look at all of them at each
//! change; instead it keeps a proof and updates the proof with each change.
//!
//! The proof is this: **a frame has one type at a time**. A frame in use as a page
//! table has a page-table type, and a frame that is mapped writable anywhere has the
//! type *writable*. As one frame cannot have both, no guest has a writable mapping of
//! a page table, and every change of one comes through us. Descriptor tables, which
//! decide what a segment register can reach, are protected in the same way.
//!
//! # Two counts
//!
//! [`frame::Frame`] keeps two counts in one atomic word:
//!
//! - the **total** count says how many references keep the frame from being freed;
//! - the **type** count says how many of them rely on its type. The type can change
//!   only while it is zero.
//!
//! A present L1 entry with write permission holds one type reference (writable) and
//! with it one total reference. A read-only entry holds only a total reference, so a
//! page table may be mapped read-only. An entry of a higher table holds a type
//! reference of the next level's type; the loaded root and each pin hold one each.
//!
//! # Validation
//!
//! A frame gets a page-table type when its first type reference is asked for: all its
//! entries are checked, and each takes its reference ([`validate`]). When the last
//! type reference goes, the entries' references go, too. Tables can be deep, so both
//! ways work within a budget ([`paging::Paging`]) and can stop between entries: such a
//! frame is *partial*; it has no type references, and its first `progress` entries
//! hold references. Whoever asks for the same type again continues there; a partial
//! frame that is to be taken down is put on the domain's list of deferred work, which
//! every later page-table request of the domain finishes first.
//!
//! # Translations outlive entries
//!
//! A CPU remembers translations after the entry is gone. So whenever a frame changes
//! from one type to another (or is freed) the TLBs of its owner's CPUs are flushed *before*
//! the new use begins ([`tlb`]); nothing less would keep a stale writable translation off a
//! new page table.
//!
//! # Invariants
//!
//! [`invariants`] walks these in tests, after every step:
//!
//! - **I1** The type count is at most the total count.
//! - **I2** A frame with a page-table type and type count > 0 is validated (outside of
//!   the paging lock of its owner).
//! - **I3** The total count of each frame equals what can be found: 1 if allocated, 1
//!   if partial, plus every entry, root, pin, descriptor table and named holder that
//!   refers to it.
//! - **I4** The type count of each frame equals the found references that need its type.
//! - **I5** Every present entry of a validated table refers to a frame of the table's
//!   owner, with flags that the level permits. A level-1 entry may also refer to a frame of
//!   another domain ([`foreign`], grants), holding the same references, or to a device.
//! - **I6** No frame that a present, writable L1 entry maps has any type but *writable*.
//! - **I7** pv32: entries 4 to 511 of an L3 are zero; its slot 3 is an `L2Top` with type
//!   count 1, whose last entries are the hypervisor's.
//! - **I8** A frame that nobody owns has no references and is in exactly one free block;
//!   free blocks and owned frames make up all RAM.
//! - **I9** A frame that is allocated to a domain lies within the domain's [`footprint`].
//!
//! # Locks
//!
//! Page-table types change only under the owner's [`paging::Paging`] lock; counts change
//! without it. The heap's lock is a leaf.

pub mod descriptor;
pub mod footprint;
pub mod foreign;
pub mod frame;
pub mod frame_box;
pub mod granted;
pub mod heap;
pub mod invariants;
mod linear;
pub mod m2p_window;
pub mod memory;
pub mod memory_op;
pub mod mmu_update;
pub mod mmuext;
pub mod ownership;
pub mod paging;
pub mod pte;
pub mod requests;
pub mod tlb;
pub mod types;
pub mod update;
pub mod update_va;
pub mod validate;
