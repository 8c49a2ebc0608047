//! `control`: a command for the server itself. Exit code 3: the server refuses it.

use pv_abi::errno::Errno;
use serde_json::json;

use crate::arguments::ControlArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Client, Error};

/// The server refused the command.
const REFUSED: u8 = 3;

pub fn perform(
    args: &ControlArgs,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let command = words.join(" ");
    match client.control(&words) {
        Ok(reply) if output.json => output.json(&json!({ "command": command, "reply": reply })),
        Ok(reply) if reply.is_empty() => Ok(()),
        Ok(reply) => output.raw(format!("{reply}\n").as_bytes()),
        Err(Error::Refused(Errno::EINVAL)) => {
            let mut sentence = format!("the server does not take the command `{command}`");
            if let Ok(known) = client.control(&["help"]) {
                sentence += &format!(". It knows:\n{}", known.trim_end());
            }
            Err(Failure::with_code(REFUSED, sentence))
        }
        Err(error) => Err(Failure::with_code(REFUSED, format!("cannot do `{command}`: {error}"))),
    }
}
