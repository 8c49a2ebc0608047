//! Requests as log lines.
//!
//! The server takes bytes and gives bytes; what a client asked is seen by looking at the bytes that go
//! by. Where messages begin is followed always, since logging may be switched on at any time, but
//! without keeping or copying payloads.

use log::Level;
use xenstore::DomId;
use xenstore::wire::Header;

/// How much of a payload a log line shows.
const SHOWN: usize = 80;

/// Follows one client's stream.
#[derive(Default)]
pub(crate) struct Requests {
    head: [u8; Header::SIZE],
    /// Bytes of `head` that have come.
    filled: usize,
    /// Bytes of payload that are still to come.
    rest: usize,
    /// The beginning of the payload, for the line.
    shown: Vec<u8>,
}

impl Requests {
    /// Bytes went by.
    pub(crate) fn trace(&mut self, client: u32, domid: DomId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let want =
                if self.filled < Header::SIZE { Header::SIZE - self.filled } else { self.rest };
            let (now, later) = bytes.split_at(want.min(bytes.len()));
            if self.filled < Header::SIZE {
                for (place, byte) in self.head.iter_mut().skip(self.filled).zip(now) {
                    *place = *byte;
                }
                self.filled += now.len();
                if self.filled == Header::SIZE {
                    self.rest = Header::decode(self.head).len as usize;
                }
            } else {
                self.rest -= now.len();
                let room = SHOWN - self.shown.len();
                self.shown.extend(now.iter().take(room));
            }
            if self.filled == Header::SIZE && self.rest == 0 {
                self.print(client, domid);
                self.filled = 0;
                self.shown.clear();
            }
            bytes = later;
        }
    }

    fn print(&self, client: u32, domid: DomId) {
        if log::log_enabled!(Level::Trace) {
            let head = Header::decode(self.head);
            let kind = head.kind().map_or("a request of no known type", |kind| kind.name());
            let payload = self.shown.escape_ascii();
            let more = if head.len as usize > self.shown.len() { "..." } else { "" };
            let transaction = match head.transaction {
                0 => String::new(),
                number => format!(" in transaction {number}"),
            };
            log::trace!("client {client} ({domid}): {kind}{transaction} \"{payload}{more}\"");
        }
    }
}
