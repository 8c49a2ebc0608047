//! `watch`: a line for each event, printed at once.

use std::time::Instant;

use serde_json::Value;

use crate::arguments::WatchArgs;
use crate::explain::refusal;
use crate::failure::Failure;
use crate::output::{Kind, Line, Output, node};
use crate::session::{Client, Error, Lost};

pub fn perform(args: &WatchArgs, client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    for path in &args.paths {
        let set = client.watch(path, path);
        set.map_err(|error| refusal(client, "watch", path, &error))?;
    }
    // None where that is further away than time goes.
    let deadline = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    client.transport().wait_until(deadline);
    // None: no end.
    let mut rest = u64::try_from(args.number).ok();
    while rest != Some(0) {
        let path = match client.next_event() {
            Ok(event) => event.path,
            Err(Error::Transport(Lost::TimeUp)) if rest.is_none() => break,
            Err(Error::Transport(Lost::TimeUp)) => return Err(Failure::quiet(1)),
            Err(error) => return Err(Failure::new(error.to_string())),
        };
        if output.json {
            output.json(&Value::Object(node(&path)))?;
        } else {
            let mut line = Line::default();
            line.push(Kind::Name, path);
            line.push(Kind::Plain, "\n");
            output.line(&line)?;
        }
        output.flush()?;
        rest = rest.map(|rest| rest - 1);
    }
    Ok(())
}
