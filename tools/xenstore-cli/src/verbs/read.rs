//! `read`: values, of several nodes at one moment. Those before one that cannot be read are printed.

use serde_json::Value;
use xenstore::client::Store;

use crate::arguments::ReadArgs;
use crate::explain::{absent, refusal};
use crate::failure::Failure;
use crate::output::{Kind, Line, Output, add_value, node};
use crate::session::{Client, Lost, in_transaction};
use crate::text::escape;

/// Nodes and their values.
type Values<'a> = Vec<(&'a str, Vec<u8>)>;

pub fn perform(args: &ReadArgs, client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    let mut values = Values::new();
    let done = match args.paths.len() {
        1 => read_all(client, &args.paths, &mut values),
        _ => in_transaction(client, |store| read_all(store, &args.paths, &mut values)),
    };
    if output.json {
        let described = |(path, value): &(&str, Vec<u8>)| {
            let mut node = node(path);
            add_value(&mut node, value);
            Value::Object(node)
        };
        output.json(&values.iter().map(described).collect())?;
        return done;
    }
    for (path, value) in values {
        let mut line = Line::default();
        if args.prefix {
            line.push(Kind::Name, path);
            line.push(Kind::Plain, ": ");
        }
        if args.raw {
            line.push(Kind::Plain, value);
        } else {
            line.push(Kind::Value, escape(&value));
            line.push(Kind::Plain, "\n");
        }
        output.line(&line)?;
    }
    done
}

fn read_all<'a>(
    store: &mut impl Store<Failure = Lost>,
    paths: &'a [String],
    values: &mut Values<'a>,
) -> Result<(), Failure> {
    values.clear();
    for path in paths {
        let value = store.read(path);
        match value.map_err(|error| refusal(store, "read", path, &error))? {
            Some(value) => values.push((path, value)),
            None => return Err(absent(store, "read", path)),
        }
    }
    Ok(())
}
