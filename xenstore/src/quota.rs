//! How much of the store a domain may use, and how much it does.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use pv_abi::types::DomId;

use crate::perms::is_privileged;
use crate::tree::Node;

/// Declares the limits: `name = default "name in CONTROL quota", "meaning";`.
macro_rules! quotas {
    ($($(#[$meta:meta])* $field:ident = $default:expr, $name:literal;)*) => {
        /// The limits per domain; the defaults are Xen 4.17's. 0 is a limit too: nothing of the kind.
        ///
        /// They hold for unprivileged domains. Domain 0 is trusted with the store, but not with the
        /// server's memory: [`backlog`](Self::backlog) is its limit.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct Quotas {
            $($(#[$meta])* pub $field: u32,)*
        }

        impl Default for Quotas {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Quotas {
            /// Every limit with its name in `CONTROL quota`.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u32)> {
                [$(($name, self.$field)),*].into_iter()
            }

            /// Sets a limit by that name; false: there is none.
            pub fn set(&mut self, name: &str, value: u32) -> bool {
                match name {
                    $($name => self.$field = value,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

quotas! {
    /// Nodes that a domain owns. Past it: `ENOSPC`.
    nodes = 1000, "nodes";
    /// Bytes of one node's value and permissions. Past it: `ENOSPC`.
    node_size = 2048, "node-size";
    /// Entries of one node's permissions. Past it: `ENOSPC`.
    permissions = 5, "node-permissions";
    /// Watches that are set. Past it: `E2BIG`.
    watches = 128, "watches";
    /// Transactions that are open. Past it: `ENOSPC`.
    transactions = 10, "transactions";
    /// Nodes that one transaction touches, read or written. Past it: `ENOSPC`.
    transaction_nodes = 1024, "transaction-nodes";
    /// Changes of the store while a transaction is open. Past it the transaction is lost: its
    /// commit gives `EAGAIN`. It bounds what old versions of nodes are kept for one that never ends.
    transaction_age = 1 << 16, "transaction-age";
    /// Requests whose reply, or whose events for others, were not taken yet. At it the server stops
    /// reading from the domain.
    outstanding = 20, "outstanding";
    /// Bytes held for the domain: nodes, watches, transactions, what waits to be sent. Past it:
    /// `ENOMEM`, and events are dropped.
    memory = 5 << 19, "memory";
    /// Bytes that wait for one client of domain 0. At it the server stops reading from the client;
    /// a client at twice as much is cut off.
    backlog = 8 << 20, "backlog";
}

/// What is held for a domain.
#[derive(Clone, Default)]
pub(crate) struct Account {
    /// The nodes it owns.
    pub(crate) nodes: BTreeSet<Arc<str>>,
    pub(crate) watches: u32,
    pub(crate) transactions: u32,
    pub(crate) outstanding: u32,
    /// Bytes of all that.
    pub(crate) memory: usize,
}

/// The accounts of all domains, domain 0's among them.
pub(crate) struct Ledger {
    pub(crate) quotas: Quotas,
    accounts: BTreeMap<DomId, Account>,
}

impl Ledger {
    pub(crate) fn new(quotas: Quotas) -> Self {
        Self { quotas, accounts: BTreeMap::new() }
    }

    pub(crate) fn get(&self, domid: DomId) -> Option<&Account> {
        self.accounts.get(&domid)
    }

    /// The account of a domain, opened where there is none.
    pub(crate) fn of(&mut self, domid: DomId) -> &mut Account {
        self.accounts.entry(domid).or_default()
    }

    /// Closes the account of a domain that is gone. Its nodes, watches and so on went before.
    pub(crate) fn close(&mut self, domid: DomId) {
        self.accounts.remove(&domid);
    }

    /// Whether a limit lets a domain have `more` of what it has `now`.
    pub(crate) fn allows(
        &self,
        domid: DomId,
        limit: impl Fn(&Quotas) -> u32,
        now: impl Fn(&Account) -> usize,
        more: usize,
    ) -> bool {
        let now = self.get(domid).map_or(0, now);
        is_privileged(domid) || now.saturating_add(more) <= limit(&self.quotas) as usize
    }

    /// Whether a domain may hold so many bytes more.
    pub(crate) fn has_memory(&self, domid: DomId, more: usize) -> bool {
        self.allows(domid, |quotas| quotas.memory, |account| account.memory, more)
    }

    /// A node came into being.
    pub(crate) fn enter(&mut self, node: &Node) {
        let account = self.of(node.owner());
        account.nodes.insert(node.path.clone());
        account.memory = account.memory.saturating_add(node.size());
    }

    /// A node is no more.
    pub(crate) fn leave(&mut self, node: &Node) {
        let account = self.of(node.owner());
        account.nodes.remove(&node.path);
        account.memory = account.memory.saturating_sub(node.size());
    }

    /// A node changed.
    pub(crate) fn change(&mut self, before: &Node, after: &Node) {
        if before.owner() == after.owner() {
            let account = self.of(after.owner());
            let without = account.memory.saturating_sub(before.size());
            account.memory = without.saturating_add(after.size());
        } else {
            self.leave(before);
            self.enter(after);
        }
    }

    /// Bytes that are held for all domains together.
    pub(crate) fn memory(&self) -> usize {
        self.accounts.values().map(|account| account.memory).sum()
    }

    /// How many nodes are in all accounts together.
    pub(crate) fn nodes(&self) -> usize {
        self.accounts.values().map(|account| account.nodes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_names() {
        let mut quotas = Quotas::default();
        assert!(quotas.set("nodes", 7));
        assert!(!quotas.set("node", 7));
        assert_eq!(quotas.nodes, 7);
        assert!(quotas.named().any(|limit| limit == ("nodes", 7)));
    }

    #[test]
    fn limits_do_not_bind_domain_0() {
        let ledger = Ledger::new(Quotas::default());
        let allows = |domid, more| {
            ledger.allows(DomId::new(domid), |quotas| quotas.nodes, |a| a.nodes.len(), more)
        };
        assert!(allows(0, 1001));
        assert!(allows(1, 1000));
        assert!(!allows(1, 1001));
        assert!(!allows(1, usize::MAX));
    }
}
