//! `CONTROL`: commands to the server itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use super::requests::{OK, Request, number};
use super::{Action, Server};
use crate::wire::payload;

/// The commands and their parameters, as `help` lists them.
const COMMANDS: &[(&str, &str)] = &[
    ("check", ""),
    ("help", ""),
    ("live-update", ""),
    ("log", "on|off"),
    ("memreport", ""),
    ("print", "<string>"),
    ("quota", "[set <name> <val>|<domid>]"),
];

impl Server {
    pub(super) fn control(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let words: Vec<&[u8]> = payload::strings(request.payload).collect();
        match words[..] {
            [b"check"] => self.check().map_err(|_| Errno::EIO)?,
            [b"help"] => return Ok(text(help())),
            [b"live-update", ..] => self.actions.push_back(Action::LiveUpdate),
            [b"log", b"on"] => self.actions.push_back(Action::Log(true)),
            [b"log", b"off"] => self.actions.push_back(Action::Log(false)),
            [b"memreport"] => return Ok(text(self.report())),
            [b"print", line] => {
                let line = String::from_utf8_lossy(line).into_owned();
                self.actions.push_back(Action::Print(line));
            }
            [b"quota"] => return Ok(text(self.limits())),
            [b"quota", b"set", name, value] => {
                let name = core::str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
                if !self.store.ledger.quotas.set(name, number(value)?) {
                    return Err(Errno::EINVAL);
                }
            }
            [b"quota", domid] => return self.usage(DomId::new(number(domid)?)).map(text),
            _ => return Err(Errno::EINVAL),
        }
        Ok(OK.to_vec())
    }

    fn limits(&self) -> String {
        let head = String::from("Quota name             Value\n");
        let quotas = self.store.ledger.quotas;
        quotas.named().fold(head, |all, (name, value)| all + &format!("{name:<20}: {value:8}\n"))
    }

    fn usage(&self, domid: DomId) -> Result<String, Errno> {
        let account = self.store.ledger.get(domid).ok_or(Errno::ENOENT)?;
        let rows = [
            ("nodes", account.nodes.len()),
            ("watches", account.watches as usize),
            ("transactions", account.transactions as usize),
            ("outstanding", account.outstanding as usize),
            ("memory", account.memory),
        ];
        let head = format!("Domain {}:\n", domid.raw());
        Ok(rows.iter().fold(head, |all, (name, value)| all + &format!("{name:<16}: {value:8}\n")))
    }

    fn report(&self) -> String {
        format!(
            "nodes: {}\nconnections: {}\ndomains: {}\nmemory: {}\n",
            self.nodes(),
            self.connections.len(),
            self.domains.introduced.len(),
            self.store.ledger.memory()
        )
    }
}

fn help() -> String {
    COMMANDS.iter().fold(String::new(), |all, (name, words)| all + &format!("{name}\t{words}\n"))
}

fn text(text: String) -> Vec<u8> {
    payload::join(&[text.as_bytes()])
}
