//! Kernel stacks: one a task, each above an unmapped page. The first task's is in the image
//! ([`mod@ring1::entry`]), above such a page, too.
//!
//! A stack that overflows meets the hole. The hypervisor cannot push a fault's frame there either, so
//! it ends the domain and prints its registers: loud, but not silent corruption. A freed stack stays
//! mapped and is used again.

use super::frames::Use;
use super::{PAGE, window};
use crate::sync::Guarded;
use heapless::Vec;

/// First address of the stacks' window.
pub const STACKS: u32 = 0xb800_0000;
const END: u32 = 0xc000_0000;
/// Bytes of a stack.
pub const BYTES: u32 = 8 * PAGE;
const SLOT: u32 = BYTES + PAGE;
/// Freed stacks that are remembered; any more are lost.
const CACHE: usize = 256;

struct Stacks {
    free: Vec<u32, CACHE>,
    next: u32,
}

static POOL: Guarded<Stacks> = Guarded::new(Stacks { free: Vec::new(), next: STACKS });

/// A kernel stack; freed when dropped.
#[derive(Debug)]
pub struct Stack {
    bottom: u32,
}

impl Stack {
    /// A stack. None: out of memory or of addresses.
    pub fn new() -> Option<Self> {
        if super::frames::is_short() {
            return None;
        }
        let fresh = POOL.with(|pool| match pool.free.pop() {
            Some(bottom) => Ok(bottom),
            None => {
                let bottom = pool.next + PAGE;
                if bottom + BYTES > END {
                    return Err(None);
                }
                pool.next += SLOT;
                Err(Some(bottom))
            }
        });
        match fresh {
            Ok(bottom) => Some(Self { bottom }),
            Err(Some(bottom)) if window::map(bottom, BYTES / PAGE, Use::Kernel) => {
                Some(Self { bottom })
            }
            // Of the addresses there are more than of the frames.
            Err(_) => None,
        }
    }

    /// The address after the stack: where its use begins.
    pub fn top(&self) -> u32 {
        self.bottom + BYTES
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = POOL.with(|pool| pool.free.push(self.bottom));
    }
}
