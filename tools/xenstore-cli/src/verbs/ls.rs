//! `ls`: the tree below nodes, node by node in the order of the server's lists.
//!
//! Without a transaction, as Xen's: a tree may be large, and others change it meanwhile. A node that
//! goes while it is looked at is passed over.

use rustix::termios::tcgetwinsize;
use serde_json::Value;
use xenstore::client::Store;
use xenstore::perms::Permission;

use crate::arguments::LsArgs;
use crate::explain::{absent, join, refusal};
use crate::failure::Failure;
use crate::layout::Layout;
use crate::output::{Kind, Output, add_value, node};
use crate::session::Client;

pub fn perform(args: &LsArgs, client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    let columns = tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let layout = Layout::new(args.flat, columns.filter(|columns| *columns > 2));
    let mut nodes = Vec::new();
    for path in &args.paths {
        walk(client, path, 0, &mut |client, depth, path| {
            // What may not be read is shown without a value.
            let value = client.read(path).ok().flatten();
            let permissions =
                if args.permissions { client.get_perms(path).ok().flatten() } else { None };
            if output.json {
                nodes.push(described(path, value.as_deref(), permissions.as_deref()));
                return Ok(());
            }
            let mut line = layout.line(depth, path, value.as_deref(), args.permissions);
            if let Some(permissions) = permissions {
                line.push(Kind::Plain, "  (");
                line.push(Kind::Permissions, texts(&permissions).join(","));
                line.push(Kind::Plain, ")");
            }
            line.push(Kind::Plain, "\n");
            output.line(&line)
        })?;
    }
    if output.json { output.json(&Value::Array(nodes)) } else { Ok(()) }
}

/// Visits what is below a node, parents before children.
fn walk(
    client: &mut Client,
    path: &str,
    depth: usize,
    visit: &mut impl FnMut(&mut Client, usize, &str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let names = client.directory(path);
    let Some(names) = names.map_err(|error| refusal(client, "list", path, &error))? else {
        return if depth > 0 { Ok(()) } else { Err(absent(client, "list", path)) };
    };
    for name in names {
        let child = join(path, &name);
        visit(client, depth, &child)?;
        walk(client, &child, depth + 1, visit)?;
    }
    Ok(())
}

fn described(path: &str, value: Option<&[u8]>, permissions: Option<&[Permission]>) -> Value {
    let mut node = node(path);
    if let Some(value) = value {
        add_value(&mut node, value);
    }
    if let Some(permissions) = permissions {
        node.insert("permissions".into(), texts(permissions).into());
    }
    Value::Object(node)
}

fn texts(permissions: &[Permission]) -> Vec<String> {
    permissions.iter().map(ToString::to_string).collect()
}
