//! What a handler finds on its stack, and how it goes back: Linux's frames for i386.
//!
//! From the handler's stack pointer up (Linux `arch/x86/include/asm/sigframe.h`,
//! `uapi/asm/sigcontext.h`): the short frame of `sigaction` without `SA_SIGINFO` is return address,
//! signal, `struct sigcontext`, an unused area, the mask's high word, and instructions that call
//! `sigreturn`; the long one is return address, signal, addresses of `siginfo_t` and of the context,
//! these two, and instructions that call `rt_sigreturn`. Above either lies the FPU's state: an
//! `fsave` header, of which control, status and tag words are filled in, and the `fxsave` image,
//! which is the one that counts on the way back.
//!
//! Where `sa_restorer` is not given the handler returns into the frame, where a stack that cannot be
//! executed faults. The C libraries give it.
//!
//! Nothing that comes back is trusted: [`decode`] only reads it; which flags and segments a process
//! may choose is said by [`Registers::sanitize`].

use super::state::{Action, AltStack, SA_ONSTACK, SA_RESTORER, SA_SIGINFO};
use super::{Info, Set};
use alloc::vec::Vec;
use zerocopy::IntoBytes;

/// Words of a `struct sigcontext`.
pub const CONTEXT_WORDS: usize = 22;
/// Bytes of an `fsave` header with Linux's two fields behind it.
const FSAVE: u32 = 112;
/// Bytes of an `fxsave` image.
pub const FXSAVE: u32 = 512;
/// Offset of the context in the short frame.
const SHORT_CONTEXT: u32 = 8;
const SHORT_MASK: u32 = 720;
const SHORT_CODE: u32 = 724;
const SHORT_BYTES: u32 = 732;
const LONG_INFO: u32 = 16;
const LONG_UCONTEXT: u32 = LONG_INFO + Info::BYTES as u32;
const LONG_STACK: u32 = LONG_UCONTEXT + 8;
const LONG_CONTEXT: u32 = LONG_UCONTEXT + 20;
const LONG_MASK: u32 = LONG_CONTEXT + CONTEXT_WORDS as u32 * 4;
const LONG_CODE: u32 = LONG_MASK + 8;
const LONG_BYTES: u32 = LONG_CODE + 8;
/// `pop eax; mov eax, 119; int 0x80`.
const SIGRETURN: [u8; 8] = [0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80];
/// `mov eax, 173; int 0x80`.
const RT_SIGRETURN: [u8; 8] = [0xb8, 173, 0, 0, 0, 0xcd, 0x80, 0];

/// Flags that a process may choose: CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC.
const OWN_FLAGS: u32 = 0x5_0dd5;

/// The registers of a `struct sigcontext`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(missing_docs, reason = "the registers' names")]
pub struct Registers {
    pub gs: u32,
    pub fs: u32,
    pub es: u32,
    pub ds: u32,
    pub edi: u32,
    pub esi: u32,
    pub ebp: u32,
    pub esp: u32,
    pub ebx: u32,
    pub edx: u32,
    pub ecx: u32,
    pub eax: u32,
    pub vector: u32,
    pub error: u32,
    pub eip: u32,
    pub cs: u32,
    pub eflags: u32,
    pub ss: u32,
    pub fault_address: u32,
}

impl Registers {
    fn words(&self, fpu: u32, mask: u32) -> [u32; CONTEXT_WORDS] {
        let r = self;
        let selector = |value: u32| value & 0xffff;
        [
            selector(r.gs),
            selector(r.fs),
            selector(r.es),
            selector(r.ds),
            r.edi,
            r.esi,
            r.ebp,
            r.esp,
            r.ebx,
            r.edx,
            r.ecx,
            r.eax,
            r.vector,
            r.error,
            r.eip,
            selector(r.cs),
            r.eflags,
            r.esp,
            selector(r.ss),
            fpu,
            mask,
            r.fault_address,
        ]
    }

    /// What a process may have of `wanted`, when it has these: no other code and stack segment, no
    /// flags but its own, data segments of Ring 3 only.
    #[must_use]
    pub fn sanitize(&self, wanted: Self) -> Self {
        let data = |selector: u32| if selector & 0xfffc == 0 { 0 } else { selector & 0xffff | 3 };
        Self {
            gs: data(wanted.gs),
            fs: data(wanted.fs),
            es: data(wanted.es),
            ds: data(wanted.ds),
            cs: self.cs,
            ss: self.ss,
            eflags: self.eflags & !OWN_FLAGS | wanted.eflags & OWN_FLAGS,
            ..wanted
        }
    }
}

/// A frame to be written, and with what the handler begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Where it lies; the handler's stack pointer.
    pub at: u32,
    /// Its bytes, up to the `fxsave` image, which comes right behind them.
    pub bytes: Vec<u8>,
    /// The handler's arguments in registers: signal, and with the long frame two addresses.
    pub arguments: [u32; 3],
}

impl Frame {
    /// Where the `fxsave` image belongs.
    pub fn image_at(&self) -> u32 {
        self.at + self.bytes.len() as u32
    }
}

/// The state that a handler interrupts.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted<'a> {
    /// Its registers.
    pub registers: Registers,
    /// Its FPU, as `fxsave` has it.
    pub fpu: &'a [u8; FXSAVE as usize],
    /// What is blocked when it goes on.
    pub mask: Set,
    /// The stack for handlers.
    pub alt_stack: AltStack,
}

/// The frame of a handler. None: its stack has no room.
pub fn build(info: &Info, action: &Action, interrupted: &Interrupted<'_>) -> Option<Frame> {
    let &Interrupted { registers, fpu, mask, alt_stack } = interrupted;
    let nested = alt_stack.contains(registers.esp);
    let switches = action.flags & SA_ONSTACK != 0 && alt_stack.length != 0 && !nested;
    let top = if switches { alt_stack.base.checked_add(alt_stack.length)? } else { registers.esp };
    let fpu_at = top.checked_sub(FSAVE + FXSAVE)? & !15;
    let long = action.flags & SA_SIGINFO != 0;
    let length = if long { LONG_BYTES } else { SHORT_BYTES };
    // As at a function's entry: aligned before the return address is pushed.
    let at = (fpu_at.checked_sub(length)? & !15).checked_sub(4)?;
    if (switches || nested) && at < alt_stack.base {
        return None;
    }

    let mut frame = Writer { at, bytes: Vec::new() };
    frame.bytes.resize((fpu_at + FSAVE - at) as usize, 0);
    let [low, high] = mask.words();
    let code = if long { LONG_CODE } else { SHORT_CODE };
    let returns = if action.flags & SA_RESTORER != 0 { action.restorer } else { at + code };
    frame.words(0, &[returns, info.signal]);
    let context = registers.words(fpu_at, low);
    let arguments = if long {
        let (info_at, context_at) = (at + LONG_INFO, at + LONG_UCONTEXT);
        frame.words(8, &[info_at, context_at]);
        frame.put(LONG_INFO, &info.bytes());
        let flags = alt_stack.flags(registers.esp);
        frame.words(LONG_STACK, &[alt_stack.base, flags, alt_stack.length]);
        frame.words(LONG_CONTEXT, &context);
        frame.words(LONG_MASK, &[low, high]);
        frame.put(LONG_CODE, &RT_SIGRETURN);
        [info.signal, info_at, context_at]
    } else {
        frame.words(SHORT_CONTEXT, &context);
        frame.words(SHORT_MASK, &[high]);
        frame.put(SHORT_CODE, &SIGRETURN);
        [info.signal, 0, 0]
    };
    let half = |at: usize| u32::from(u16::from_le_bytes([fpu[at], fpu[at + 1]]));
    let tags = wide_tags(fpu[4]);
    let reserved = 0xffff_0000;
    frame.words(fpu_at - at, &[half(0) | reserved, half(2) | reserved, tags | reserved]);
    // Status word again, and the magic that says that an `fxsave` image follows.
    frame.words(fpu_at - at + FSAVE - 4, &[half(2)]);
    Some(Frame { at, bytes: frame.bytes, arguments })
}

/// `fsave`'s two bits a register, of `fxsave`'s one: valid, or empty.
fn wide_tags(narrow: u8) -> u32 {
    (0..8).map(|bit| if narrow >> bit & 1 == 0 { 3 << (bit * 2) } else { 0 }).sum()
}

struct Writer {
    at: u32,
    bytes: Vec<u8>,
}

impl Writer {
    fn put(&mut self, offset: u32, bytes: &[u8]) {
        let offset = offset as usize;
        debug_assert!(offset + bytes.len() <= self.bytes.len(), "outside of frame {:#x}", self.at);
        if let Some(to) = self.bytes.get_mut(offset..offset + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    fn words(&mut self, offset: u32, words: &[u32]) {
        self.put(offset, words.as_bytes());
    }
}

/// Where a frame's parts lie when a handler returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    /// The `struct sigcontext`.
    pub context: u32,
    /// The mask's words: the low one of the long frame is the first; the short frame has the high one
    /// only, and the low one in its context.
    pub mask: u32,
    /// The alternative stack, in the long frame.
    pub alt_stack: Option<u32>,
}

/// The parts of the short frame, at the stack pointer of `sigreturn`.
pub fn short_places(esp: u32) -> Places {
    // The return address was popped, and the signal by the instructions there.
    let at = esp.wrapping_sub(8);
    Places {
        context: at.wrapping_add(SHORT_CONTEXT),
        mask: at.wrapping_add(SHORT_MASK),
        alt_stack: None,
    }
}

/// The parts of the long frame, at the stack pointer of `rt_sigreturn`.
pub fn long_places(esp: u32) -> Places {
    let at = esp.wrapping_sub(4);
    Places {
        context: at.wrapping_add(LONG_CONTEXT),
        mask: at.wrapping_add(LONG_MASK),
        alt_stack: Some(at.wrapping_add(LONG_STACK)),
    }
}

/// A context as it came back: registers, where the `fxsave` image lies (0: nowhere), the mask's low
/// word.
pub fn decode(words: &[u32; CONTEXT_WORDS]) -> (Registers, u32, u32) {
    let [
        gs,
        fs,
        es,
        ds,
        edi,
        esi,
        ebp,
        esp,
        ebx,
        edx,
        ecx,
        eax,
        vector,
        error,
        eip,
        cs,
        eflags,
        _,
        ss,
        fpu,
        mask,
        fault_address,
    ] = *words;
    let registers = Registers {
        gs,
        fs,
        es,
        ds,
        edi,
        esi,
        ebp,
        esp,
        ebx,
        edx,
        ecx,
        eax,
        vector,
        error,
        eip,
        cs,
        eflags,
        ss,
        fault_address,
    };
    let image = if fpu == 0 { 0 } else { fpu.wrapping_add(FSAVE) };
    (registers, image, mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SIGINT;
    use crate::signal::state::SS_DISABLE;

    const FPU: [u8; 512] = {
        let mut fpu = [0; 512];
        fpu[0] = 0x7f;
        fpu[1] = 0x03;
        fpu[4] = 0x81;
        fpu[511] = 9;
        fpu
    };

    fn registers() -> Registers {
        Registers {
            gs: 0x33,
            fs: 0,
            es: 0xe033,
            ds: 0xe033,
            edi: 1,
            esi: 2,
            ebp: 3,
            esp: 0x7fff_1234,
            ebx: 4,
            edx: 5,
            ecx: 6,
            eax: 7,
            vector: 14,
            error: 6,
            eip: 0x0804_8000,
            cs: 0xe02b,
            eflags: 0x1246,
            ss: 0xe033,
            fault_address: 0x10,
        }
    }

    fn interrupted() -> Interrupted<'static> {
        let mask = Set::of(&[1, 40]);
        Interrupted { registers: registers(), fpu: &FPU, mask, alt_stack: AltStack::default() }
    }

    fn action(flags: u32) -> Action {
        Action { handler: 0x1000, flags, restorer: 0x2000, mask: Set::EMPTY }
    }

    fn word(frame: &Frame, address: u32) -> u32 {
        let at = (address - frame.at) as usize;
        u32::from_le_bytes(frame.bytes[at..at + 4].try_into().unwrap())
    }

    fn read(frame: &Frame, places: &Places) -> (Registers, u32, u32) {
        decode(&core::array::from_fn(|index| word(frame, places.context + index as u32 * 4)))
    }

    #[test]
    fn the_short_frame_goes_there_and_back() {
        let frame = build(&Info::kernel(SIGINT), &action(SA_RESTORER), &interrupted()).unwrap();
        assert_eq!((frame.at + 4) % 16, 0);
        assert_eq!([word(&frame, frame.at), word(&frame, frame.at + 4)], [0x2000, SIGINT]);
        assert_eq!(frame.arguments, [SIGINT, 0, 0]);
        // `ret`, and `pop eax` at the restorer.
        let places = short_places(frame.at + 8);
        let (back, image, low) = read(&frame, &places);
        assert_eq!(back, registers());
        assert_eq!([low, word(&frame, places.mask)], Set::of(&[1, 40]).words());
        assert_eq!(image % 16, 0);
        assert_eq!(image, frame.image_at());
        assert!(image + FXSAVE <= registers().esp);
    }

    #[test]
    fn the_long_frame_goes_there_and_back() {
        let info = Info::sent(SIGINT, 9);
        let frame = build(&info, &action(SA_SIGINFO), &interrupted()).unwrap();
        let [signal, info_at, context_at] = frame.arguments;
        assert_eq!([signal, info_at, context_at], [SIGINT, frame.at + 16, frame.at + 144]);
        assert_eq!(word(&frame, frame.at + 8), info_at);
        assert_eq!(word(&frame, info_at + 12), 9);
        // Without a restorer it returns into the frame.
        let code = (word(&frame, frame.at) - frame.at) as usize;
        assert_eq!(frame.bytes[code..code + 8], RT_SIGRETURN);
        let places = long_places(frame.at + 4);
        let (back, image, low) = read(&frame, &places);
        assert_eq!((back, low), (registers(), 1));
        assert_eq!([word(&frame, places.mask), word(&frame, places.mask + 4)], [1, 1 << 7]);
        assert_eq!(word(&frame, places.alt_stack.unwrap() + 4), SS_DISABLE);
        // The header of fsave: control word, and registers 0 and 7 in use.
        assert_eq!(word(&frame, image - 112), 0xffff_037f);
        assert_eq!(word(&frame, image - 104), 0xffff_3ffc);
    }

    #[test]
    fn handlers_get_the_other_stack_once() {
        let alt_stack = AltStack { base: 0x5000, length: 0x2000 };
        let outside = Interrupted { alt_stack, ..interrupted() };
        let frame = build(&Info::kernel(SIGINT), &action(SA_ONSTACK), &outside).unwrap();
        assert!(frame.at > 0x5000 && frame.image_at() + FXSAVE <= 0x7000);
        let registers = Registers { esp: frame.at, ..registers() };
        let inside = Interrupted { registers, ..outside };
        let again = build(&Info::kernel(SIGINT), &action(SA_ONSTACK), &inside).unwrap();
        assert!(again.at < frame.at && again.at > 0x5000);
        let registers = Registers { esp: 0x5100, ..registers };
        let full = Interrupted { registers, ..outside };
        assert_eq!(build(&Info::kernel(SIGINT), &action(SA_ONSTACK), &full), None);
    }

    #[test]
    fn stacks_without_room_are_refused() {
        for esp in [0, 1, 100, 700, 1300] {
            let registers = Registers { esp, ..registers() };
            let interrupted = Interrupted { registers, ..interrupted() };
            assert_eq!(build(&Info::kernel(SIGINT), &action(0), &interrupted), None);
        }
    }

    #[test]
    fn a_process_chooses_no_segment_or_flag_of_the_kernels() {
        let now = registers();
        let wanted = Registers {
            cs: 0xe019,
            ss: 0,
            ds: 0xe021,
            es: 1,
            gs: 0x1_0033,
            eflags: u32::MAX,
            ..now
        };
        let got = now.sanitize(wanted);
        assert_eq!((got.cs, got.ss), (now.cs, now.ss));
        assert_eq!((got.ds, got.es, got.gs), (0xe023, 0, 0x33));
        assert_eq!(got.eflags & !OWN_FLAGS, now.eflags & !OWN_FLAGS);
        assert_eq!(got.eflags & OWN_FLAGS, OWN_FLAGS);
    }
}
