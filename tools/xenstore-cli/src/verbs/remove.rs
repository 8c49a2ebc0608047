//! `rm`: nodes with all that is below them, all of them or none.

use xenstore::client::Store;

use crate::arguments::RmArgs;
use crate::explain::{parent, refusal};
use crate::failure::Failure;
use crate::session::{Client, Lost, in_transaction};

pub fn perform(args: &RmArgs, client: &mut Client) -> Result<(), Failure> {
    in_transaction(client, |store| {
        for path in &args.paths {
            remove(store, path)?;
            if args.tidy {
                tidy(store, path)?;
            }
        }
        Ok(())
    })
}

fn remove(store: &mut impl Store<Failure = Lost>, path: &str) -> Result<(), Failure> {
    let removed = store.rm(path);
    removed.map_err(|error| refusal(store, "remove", path, &error))
}

/// Removes parents of a node for as long as they have neither value nor children.
fn tidy(store: &mut impl Store<Failure = Lost>, path: &str) -> Result<(), Failure> {
    let parents = std::iter::successors(parent(path), |path| parent(path));
    for path in parents {
        let bare = matches!(store.read(path), Ok(Some(value)) if value.is_empty())
            && matches!(store.directory(path), Ok(Some(names)) if names.is_empty());
        if !bare {
            break;
        }
        remove(store, path)?;
    }
    Ok(())
}
