//! The way out: the machine's network card as a port of the [bridge](super::hub), and its task.

use super::Mac;
use super::hub::Port;
use crate::sync::Guarded;
use crate::task::scheduler::{self, CARD};
use crate::virtio::net::{Card, FRAME};
use crate::virtio::pair::Error;
use crate::virtio::wire;
use crate::waker::Waker;
use ring1::events::Masked;
use ring1::println;
use xenbus::net::bridge::Behind;
use xenbus::net::{Copes, Frame};

/// The card and its port.
struct Way {
    card: Card,
    port: Port,
    /// A frame that found no room on the card.
    held: Option<Frame>,
}

static WAY: Guarded<Option<Way>> = Guarded::new(None);

/// Finds the card and starts its task. Its address; none where the machine has no card.
///
/// Not a part of the caller, under whose frame the shell runs for ever: the device is put together
/// on the stack.
#[inline(never)]
pub fn start() -> Option<Mac> {
    // The device may interrupt as soon as it is there.
    let _masked = Masked::new();
    let card = match Card::new() {
        Ok(card) => card,
        Err(Error::None) => return None,
        Err(error) => {
            println!("no network card: {error:?}");
            return None;
        }
    };
    let (mac, irq) = (card.mac(), card.irq());
    // Nobody else has plugged in anything yet.
    let port = Port::plug(Behind::Anybody, Copes::WIRE, Waker::channel(CARD)).ok()?;
    WAY.with(|way| *way = Some(Way { card, port, held: None }));
    let listening = wire::listen(irq, acknowledge);
    acknowledge();
    if let Err(errno) = listening {
        println!("no network card: its interrupt: {errno:?}");
    } else if scheduler::start_kernel("card", task, 0).is_none() {
        println!("no network card: no memory for its task");
    } else {
        return Some(mac);
    }
    drop(WAY.with(Option::take));
    None
}

/// The card's interrupt, upcalls masked.
fn acknowledge() {
    WAY.with(|way| {
        if let Some(way) = way {
            way.card.acknowledge();
        }
    });
    scheduler::wake(CARD);
}

extern "C" fn task(_: u32) -> ! {
    loop {
        let _masked = Masked::new();
        let moved = WAY.with(|way| way.as_mut().map(Way::pump));
        match moved {
            Some(Ok(true)) => {}
            Some(Ok(false)) | None => scheduler::sleep(CARD, 0),
            Some(Err(error)) => {
                println!("the network card is lost: {error:?}");
                drop(WAY.with(Option::take));
            }
        }
    }
}

impl Way {
    /// Moves what can be moved; whether there may be more.
    fn pump(&mut self) -> Result<bool, Error> {
        let port = &self.port;
        let received = self.card.receive(|bytes| port.input(Frame::new(bytes.to_vec())))?;
        while let Some(frame) = self.held.take().or_else(|| self.port.take()) {
            // What is longer than a wire's frames has no way out.
            if frame.bytes.len() <= FRAME && !self.card.send(&frame.bytes)? {
                self.held = Some(frame);
                break;
            }
        }
        Ok(received)
    }
}
