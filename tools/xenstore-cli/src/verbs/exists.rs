//! `exists`: exit code 1 if one of the nodes does not, without a message.

use serde_json::Value;
use xenstore::client::Store;

use crate::arguments::ExistsArgs;
use crate::explain::refusal;
use crate::failure::Failure;
use crate::output::{Output, node};
use crate::session::{Client, in_transaction};

pub fn perform(args: &ExistsArgs, client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    let found = in_transaction(client, |store| {
        let exists = |path| match store.read(path) {
            Ok(value) => Ok((path, value.is_some())),
            Err(error) => Err(refusal(store, "look for", path, &error)),
        };
        args.paths.iter().map(String::as_str).map(exists).collect::<Result<Vec<_>, _>>()
    })?;
    if output.json {
        let described = |(path, exists): &(&str, bool)| {
            let mut node = node(path);
            node.insert("exists".into(), (*exists).into());
            Value::Object(node)
        };
        output.json(&found.iter().map(described).collect())?;
    }
    if found.iter().all(|(_, exists)| *exists) { Ok(()) } else { Err(Failure::quiet(1)) }
}
