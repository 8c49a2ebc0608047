//! What domain 0 asks of this domain: shut down, restart, more or less memory; and what it calls it.
//!
//! A task of its own watches the nodes in which domain 0 asks, and says in others what this kernel
//! can do. A request is taken by writing an empty value over it, which is how the asker knows.

use super::sysrq;
use crate::mm::{PAGE, balloon};
use crate::store::local::{Closed, Connection};
use crate::sync::Guarded;
use crate::task::{children, scheduler};
use crate::{fs, hostname};
use pv_abi::sched;
use ring1::abi::StartInfo;
use ring1::calls;
use ring1::{console, println};
use xenstore::client::{Client, Error, Store};

/// Where a shutdown is asked for.
const SHUTDOWN: &str = "control/shutdown";
/// Where a key of "magic SysRq" is.
const SYSRQ: &str = "control/sysrq";
/// How much memory this domain is to have, KiB.
const TARGET: &str = "memory/target";
/// The domain's name, which becomes the host's.
const NAME: &str = "name";
/// What this kernel listens to.
const FEATURES: [&str; 3] =
    ["control/feature-poweroff", "control/feature-reboot", "control/feature-balloon"];

/// The task's own reference to the start info page.
static START_INFO: Guarded<Option<&'static StartInfo>> = Guarded::new(None);

/// Starts the task.
pub fn start(start_info: &'static StartInfo) {
    START_INFO.with(|slot| *slot = Some(start_info));
    if scheduler::start_kernel("control", task, 0).is_none() {
        println!("no memory for the task that does what domain 0 asks for");
    }
}

extern "C" fn task(_: u32) -> ! {
    if let Some(start_info) = START_INFO.with(|slot| *slot) {
        match serve(&mut Client::new(Connection::new()), start_info) {
            // There is no store, and so nobody who asks; or its end was told of already.
            Ok(()) | Err(Error::Closed | Error::Transport(Closed)) => {}
            Err(error) => println!("domain 0 is not heard any more: {error}"),
        }
    }
    children::end(0)
}

type Result<T = ()> = core::result::Result<T, Error<Closed>>;

fn serve(store: &mut Client<Connection>, start_info: &'static StartInfo) -> Result {
    for feature in FEATURES {
        store.write(feature, b"1")?;
    }
    // In the order in which what was asked for before the start is to be done.
    for path in [NAME, TARGET, SYSRQ, SHUTDOWN] {
        store.watch(path, path)?;
    }
    loop {
        let event = store.next_event()?;
        match event.token.as_str() {
            SHUTDOWN => shut_down(store)?,
            SYSRQ => {
                if let Some(key) = take(store, SYSRQ, &mut [0; 16])? {
                    sysrq::press(key, start_info);
                }
            }
            TARGET => breathe(store)?,
            NAME => take_name(store)?,
            _ => {}
        }
    }
}

/// Takes what stands in a node, and writes nothing over it. None: nothing stands there.
fn take<'a>(
    store: &mut Client<Connection>,
    path: &str,
    buffer: &'a mut [u8; 16],
) -> Result<Option<&'a str>> {
    let Some(value) = store.read(path)?.filter(|value| !value.is_empty()) else { return Ok(None) };
    store.write(path, b"")?;
    let kept = buffer.iter_mut().zip(&value).map(|(place, byte)| *place = *byte).count();
    Ok(core::str::from_utf8(buffer.get(..kept).unwrap_or_default()).ok())
}

fn shut_down(store: &mut Client<Connection>) -> Result {
    let reason = match take(store, SHUTDOWN, &mut [0; 16])? {
        None => return Ok(()),
        Some("poweroff" | "halt") => sched::SHUTDOWN_POWEROFF,
        Some("reboot") => sched::SHUTDOWN_REBOOT,
        Some("crash") => sched::SHUTDOWN_CRASH,
        Some(word) => {
            println!("domain 0 asks to shut down in an unknown way: {word}");
            return Ok(());
        }
    };
    println!("domain 0 asks to shut down");
    if reason != sched::SHUTDOWN_CRASH {
        fs::root::stop();
    }
    console::flush();
    calls::shutdown(reason)
}

/// Calls the host as the domain is called.
fn take_name(store: &mut Client<Connection>) -> Result {
    let name = store.read(NAME)?;
    if let Some(name) = name.as_deref().and_then(|name| core::str::from_utf8(name).ok()) {
        // A name that is too long for a host is one that it does not get.
        hostname::set(name);
    }
    Ok(())
}

/// Gives memory back or takes some, as far as it goes.
fn breathe(store: &mut Client<Connection>) -> Result {
    let target = store.read(TARGET)?;
    let kib =
        target.as_deref().and_then(|value| core::str::from_utf8(value).ok()?.parse::<u32>().ok());
    if let Some(kib) = kib {
        let before = balloon::has();
        let after = balloon::move_to(kib / (PAGE / 1024));
        if after != before {
            println!("memory: {} KiB, was {} KiB", after * 4, before * 4);
        }
    }
    Ok(())
}
