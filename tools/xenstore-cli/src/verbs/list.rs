//! `list`: names of children, of all nodes named at one moment. Those before one that cannot be listed
//! are printed.

use serde_json::Value;
use xenstore::client::Store;

use crate::arguments::ListArgs;
use crate::explain::{absent, refusal};
use crate::failure::Failure;
use crate::output::{Kind, Line, Output, node};
use crate::session::{Client, in_transaction};

pub fn perform(args: &ListArgs, client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    let mut lists: Vec<(&str, Vec<String>)> = Vec::new();
    let done = in_transaction(client, |store| {
        lists.clear();
        for path in &args.paths {
            let names = store.directory(path);
            match names.map_err(|error| refusal(store, "list", path, &error))? {
                Some(names) => lists.push((path, names)),
                None => return Err(absent(store, "list", path)),
            }
        }
        Ok(())
    });
    if output.json {
        let described = |(path, names): (&str, Vec<String>)| {
            let mut node = node(path);
            node.insert("children".into(), names.into());
            Value::Object(node)
        };
        output.json(&lists.into_iter().map(described).collect())?;
        return done;
    }
    for (path, names) in lists {
        for name in names {
            let mut line = Line::default();
            if args.prefix {
                // Behind the root too, which gives `//name`: so do Xen's, and scripts may count on it.
                line.push(Kind::Plain, format!("{path}/"));
            }
            line.push(Kind::Name, name);
            line.push(Kind::Plain, "\n");
            output.line(&line)?;
        }
    }
    done
}
