//! `chmod`: permissions of a node, and of those below it or above it, all of them or none.

use xenstore::client::Store;
use xenstore::perms::Permission;

use crate::arguments::ChmodArgs;
use crate::explain::{absent, join, parent, refusal};
use crate::failure::Failure;
use crate::session::{Client, Lost, in_transaction};

pub fn perform(args: &ChmodArgs, client: &mut Client) -> Result<(), Failure> {
    let ChmodArgs { path, permissions, .. } = args;
    if args.upto && !path.starts_with('/') {
        return Err(Failure::new("-u needs a path from the root, one that begins with `/`"));
    }
    in_transaction(client, |store| {
        set(store, path, permissions)?;
        if args.upto {
            for above in std::iter::successors(parent(path), |path| parent(path)) {
                set(store, above, permissions)?;
            }
        }
        if args.recurse { set_below(store, path, permissions) } else { Ok(()) }
    })
}

fn set(
    store: &mut impl Store<Failure = Lost>,
    path: &str,
    permissions: &[Permission],
) -> Result<(), Failure> {
    let set = store.set_perms(path, permissions);
    set.map_err(|error| refusal(store, "set the permissions of", path, &error))
}

fn set_below(
    store: &mut impl Store<Failure = Lost>,
    path: &str,
    permissions: &[Permission],
) -> Result<(), Failure> {
    let names = store.directory(path);
    let names = names.map_err(|error| refusal(store, "list", path, &error))?;
    for name in names.ok_or_else(|| absent(store, "list", path))? {
        let child = join(path, &name);
        set(store, &child, permissions)?;
        set_below(store, &child, permissions)?;
    }
    Ok(())
}
