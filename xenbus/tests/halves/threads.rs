//! Both ends in threads of their own, asleep when there is nothing to do.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Port};
use xenbus::access::Events;
use xenbus::console::{Console, Terminal};
use xenbus::memory::Words;
use xenbus::store_page::{GuestEnd, StoreEnd};

/// One end of an event channel; an event that is pending is not sent again.
struct Line(SyncSender<()>, Receiver<()>);

fn line() -> (Line, Line) {
    let (to_guest, guest) = sync_channel(1);
    let (to_host, host) = sync_channel(1);
    (Line(to_host, guest), Line(to_guest, host))
}

impl Line {
    /// Waits for an event; whether there will be none, since the other end is gone.
    fn wait(&self) -> bool {
        self.1.recv().is_err()
    }
}

impl Events for Line {
    fn alloc_unbound(&mut self, _: DomId) -> Result<Port, Errno> {
        Err(Errno::ENOSYS)
    }
    fn bind(&mut self, _: DomId, _: Port) -> Result<Port, Errno> {
        Err(Errno::ENOSYS)
    }
    fn send(&mut self, _: Port) -> Result<(), Errno> {
        // Full: it is pending. Gone: nobody is left to care.
        let _ = self.0.try_send(());
        Ok(())
    }
    fn close(&mut self, _: Port) -> Result<(), Errno> {
        Ok(())
    }
}

/// Byte `i` of what goes one way.
fn byte(i: usize) -> u8 {
    (i.wrapping_mul(0x9e37_79b9) >> 13) as u8
}

#[test]
fn millions_of_bytes_are_printed_while_others_are_typed() {
    const PRINTED: usize = 2_000_000;
    const TYPED: usize = 200_000;
    let page = Words::pages(1);
    let (mut guest_line, mut host_line) = line();
    let mut terminal = Terminal::new(page.clone(), Port::new(1)).expect("a page");
    let guest = thread::spawn(move || {
        let (mut printed, mut typed) = (0, 0);
        while printed < PRINTED || typed < TYPED {
            let text: Vec<u8> = (printed..PRINTED.min(printed + 777)).map(byte).collect();
            let out = terminal.write(&mut guest_line, &text).expect("an honest daemon");
            printed += out;
            let mut keys = [0; 100];
            let count = terminal.read(&mut guest_line, &mut keys).expect("an honest daemon");
            assert!(keys[..count].iter().copied().eq((typed..typed + count).map(byte)));
            typed += count;
            if out + count == 0 {
                assert!(!guest_line.wait(), "the daemon stays to the end");
            }
        }
    });
    let mut console = Console::new(1 << 14);
    console.attach(page, Port::new(2)).expect("a page");
    let (mut read, mut typed) = (0, 0);
    loop {
        let keys: Vec<u8> = (typed..TYPED.min(typed + 50)).map(byte).collect();
        let accepted = console.type_in(&keys);
        typed += accepted;
        let polled = console.poll(&mut host_line).expect("an honest guest");
        let mut text = [0; 4096];
        let chunk = console.log().read(read as u64, &mut text);
        assert_eq!(chunk.start, read as u64, "nothing was forgotten before it was read");
        assert!(text[..chunk.count].iter().copied().eq((read..read + chunk.count).map(byte)));
        read += chunk.count;
        let idle = accepted + polled.printed == 0 && !polled.more;
        if idle && host_line.wait() {
            break;
        }
    }
    guest.join().expect("the guest ends");
    assert_eq!((read, typed), (PRINTED, TYPED));
}

#[test]
fn millions_of_bytes_of_requests_are_answered() {
    const BYTES: usize = 2_000_000;
    let page = Words::pages(1);
    let (mut guest_line, mut host_line) = line();
    let port = Port::new(1);
    let mut guest_end = GuestEnd::attach(page.clone()).expect("a page");
    let guest = thread::spawn(move || {
        let (mut asked, mut answered) = (0, 0);
        while answered < BYTES {
            let request: Vec<u8> = (asked..BYTES.min(asked + 333)).map(byte).collect();
            let out = guest_end.write(&request).expect("an honest store");
            asked += out;
            let mut reply = [0; 500];
            let count = guest_end.read(&mut reply).expect("an honest store");
            assert!(reply[..count].iter().copied().eq((answered..answered + count).map(byte)));
            answered += count;
            if out + count > 0 {
                guest_line.send(port).expect("a line");
            } else {
                assert!(!guest_line.wait(), "the store stays to the end");
            }
        }
    });
    // The store answers with what it was asked.
    let mut store_end = StoreEnd::attach(page).expect("a page");
    let mut backlog = Vec::new();
    loop {
        let mut request = [0; 400];
        let wanted = if backlog.len() < 4096 { request.len() } else { 0 };
        let count = store_end.read(&mut request[..wanted]).expect("an honest guest");
        backlog.extend_from_slice(&request[..count]);
        let sent = store_end.write(&backlog).expect("an honest guest");
        backlog.drain(..sent);
        if count + sent > 0 {
            host_line.send(port).expect("a line");
        } else if host_line.wait() {
            break;
        }
    }
    guest.join().expect("the guest ends");
    assert!(backlog.is_empty());
}
