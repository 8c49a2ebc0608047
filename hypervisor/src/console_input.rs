//! Who gets what is typed: the guest, or the hypervisor.
//!
//! Typing Ctrl-a three times switches between the two, as on Xen. Fewer than three are the
//! guest's after all (a shell uses Ctrl-a), delivered as soon as another key shows that no
//! switch was meant.

/// Ctrl-a.
pub const SWITCH_KEY: u8 = 0x01;
/// How often it is to be typed.
const TIMES: u8 = 3;

/// Who gets typed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Domain 0's console.
    #[default]
    Guest,
    /// The debug keys.
    Hypervisor,
}

/// What to do about one typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Nothing yet.
    Held,
    /// Input now goes there.
    Switched(Target),
    /// Hand `held` switch keys and then the byte to the target.
    Deliver {
        /// Who gets it.
        to: Target,
        /// Switch keys that were held back and come first.
        held: u8,
        /// The byte.
        byte: u8,
    },
}

/// Where input goes, and how many switch keys were typed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputSwitch {
    target: Target,
    held: u8,
}

impl InputSwitch {
    /// Input goes to the guest.
    pub const fn new() -> Self {
        Self { target: Target::Guest, held: 0 }
    }

    /// Takes one typed byte.
    pub fn typed(&mut self, byte: u8) -> Typed {
        if byte != SWITCH_KEY {
            let held = core::mem::take(&mut self.held);
            return Typed::Deliver { to: self.target, held, byte };
        }
        self.held += 1;
        if self.held < TIMES {
            return Typed::Held;
        }
        self.held = 0;
        self.target = match self.target {
            Target::Guest => Target::Hypervisor,
            Target::Hypervisor => Target::Guest,
        };
        Typed::Switched(self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(to: Target, held: u8, byte: u8) -> Typed {
        Typed::Deliver { to, held, byte }
    }

    #[test]
    fn three_in_a_row_switch_there_and_back() {
        let mut input = InputSwitch::new();
        assert_eq!(input.typed(b'x'), deliver(Target::Guest, 0, b'x'));
        assert_eq!(input.typed(SWITCH_KEY), Typed::Held);
        assert_eq!(input.typed(SWITCH_KEY), Typed::Held);
        assert_eq!(input.typed(SWITCH_KEY), Typed::Switched(Target::Hypervisor));
        assert_eq!(input.typed(b'h'), deliver(Target::Hypervisor, 0, b'h'));
        for _ in 0..2 {
            assert_eq!(input.typed(SWITCH_KEY), Typed::Held);
        }
        assert_eq!(input.typed(SWITCH_KEY), Typed::Switched(Target::Guest));
    }

    #[test]
    fn fewer_belong_to_the_guest() {
        let mut input = InputSwitch::new();
        for held in 1..TIMES {
            for _ in 0..held {
                assert_eq!(input.typed(SWITCH_KEY), Typed::Held);
            }
            assert_eq!(input.typed(b'e'), deliver(Target::Guest, held, b'e'));
            assert_eq!(input.typed(b'e'), deliver(Target::Guest, 0, b'e'));
        }
    }
}
