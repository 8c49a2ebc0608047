//! Starting and ending transactions, and giving up those that never end.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use pv_abi::errno::Errno;

use super::requests::{OK, Request};
use super::{ConnectionId, Server};
use crate::perms::is_privileged;
use crate::transaction::Transaction;
use crate::tree::Generation;
use crate::wire::payload;

/// The transactions of unprivileged domains, oldest first.
pub(super) type Ages = BTreeSet<(Generation, ConnectionId, u32)>;

impl Server {
    /// Checks that the transaction that a request names, if it names one, is its connection's.
    pub(super) fn check_transaction(&self, request: &Request<'_>) -> Result<(), Errno> {
        let number = request.header.transaction;
        let connection = self.connections.get(&request.id).ok_or(Errno::EIO)?;
        if number == 0 || connection.transactions.contains_key(&number) {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }

    pub(super) fn start_transaction(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let Request { id, domid, .. } = *request;
        if request.header.transaction != 0 {
            return Err(Errno::EBUSY);
        }
        let ledger = &self.store.ledger;
        if !ledger.allows(domid, |quotas| quotas.transactions, |a| a.transactions as usize, 1) {
            return Err(Errno::ENOSPC);
        }
        let transaction = Transaction::new(&mut self.store);
        let connection = self.connections.get_mut(&id).ok_or(Errno::EIO)?;
        let mut number = connection.last_transaction;
        loop {
            number = number.wrapping_add(1);
            if number != 0 && !connection.transactions.contains_key(&number) {
                break;
            }
        }
        connection.last_transaction = number;
        if !is_privileged(domid) {
            self.ages.insert((transaction.began, id, number));
        }
        self.keep_transaction(id, number, transaction);
        Ok(payload::join(&[alloc::format!("{number}").as_bytes()]))
    }

    /// Puts a transaction into its connection, and into its domain's account.
    pub(crate) fn keep_transaction(
        &mut self,
        id: ConnectionId,
        number: u32,
        transaction: Transaction,
    ) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.transactions.insert(number, transaction);
            self.store.ledger.of(connection.domid).transactions += 1;
        }
    }

    pub(super) fn end_transaction(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let commit = match request.one()? {
            b"T" => true,
            b"F" => false,
            _ => return Err(Errno::EINVAL),
        };
        let number = request.header.transaction;
        let transaction = self.take_transaction(request.id, number).ok_or(Errno::ENOENT)?;
        if commit {
            let changes = transaction.commit(&mut self.store, request.domid)?;
            self.fire(&changes, request.cause());
        }
        Ok(OK.to_vec())
    }

    /// Takes a transaction out of its connection, and out of its domain's account.
    fn take_transaction(&mut self, id: ConnectionId, number: u32) -> Option<Transaction> {
        let connection = self.connections.get_mut(&id)?;
        let transaction = connection.transactions.remove(&number)?;
        self.ages.remove(&(transaction.began, id, number));
        let account = self.store.ledger.of(connection.domid);
        account.transactions = account.transactions.saturating_sub(1);
        account.memory = account.memory.saturating_sub(transaction.size);
        Some(transaction)
    }

    /// Drops all transactions of a connection.
    pub(super) fn drop_transactions(&mut self, id: ConnectionId) {
        let numbers: Vec<u32> = match self.connections.get(&id) {
            Some(connection) => connection.transactions.keys().copied().collect(),
            None => return,
        };
        for number in numbers {
            drop(self.take_transaction(id, number));
        }
    }

    /// Gives up the snapshots of transactions that have been open for too long.
    pub(super) fn give_up_old_transactions(&mut self) {
        let limit = Generation::from(self.store.ledger.quotas.transaction_age);
        while let Some((began, id, number)) = self.ages.first().copied()
            && self.store.generation - began > limit
        {
            self.ages.pop_first();
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            if let Some(transaction) = connection.transactions.get_mut(&number) {
                let account = self.store.ledger.of(connection.domid);
                account.memory = account.memory.saturating_sub(transaction.size);
                *transaction = Transaction::lost();
            }
        }
    }
}
