//! `console_io`: the hypervisor's console, shared with domain 0.

use pv_abi::console::{CONSOLEIO_READ, CONSOLEIO_WRITE};
use pv_abi::errno::Errno;

use super::Args;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::platform::Platform;

/// Bytes copied at once.
const CHUNK: u64 = 128;

/// Chunks written or read by one call before other work gets a chance. A serial line of
/// 115200 baud takes 11 ms for one.
const CHUNKS: u32 = 8;

/// `console_io(cmd, count, buffer)`: `write` returns 0, `read` how many bytes there were.
///
/// `EPERM` unless privileged. `EFAULT`: the buffer (bytes before it are done). `E2BIG`: a
/// read of more bytes than the result can tell. `ENOSYS`: an unknown command.
pub fn console_io<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    match args[0] as u32 {
        CONSOLEIO_WRITE => write(ctx, args),
        CONSOLEIO_READ => read(ctx, u64::from(args[1] as u32), args[2]),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn write<P: Platform>(ctx: &Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let mut chunk = [0; CHUNK as usize];
    for _ in 0..CHUNKS {
        let count = u64::from(args[1] as u32).min(CHUNK);
        if count == 0 {
            return Ok(0);
        }
        let Some(bytes) = chunk.get_mut(..count as usize) else { return Ok(0) };
        ctx.read_bytes(args[2], bytes)?;
        ctx.sys.platform.write(bytes);
        args[1] = u64::from(args[1] as u32) - count;
        args[2] = args[2].wrapping_add(count);
    }
    if args[1] == 0 { Ok(0) } else { Err(Stop::Preempted) }
}

fn read<P: Platform>(ctx: &Ctx<'_, P>, count: u64, buffer: u64) -> HypercallResult {
    if count > i32::MAX as u64 {
        return Err(Errno::E2BIG.into());
    }
    let mut chunk = [0; CHUNK as usize];
    let mut done = 0;
    // A short count is an answer, too: no continuation is needed.
    for _ in 0..CHUNKS {
        let room = (count - done).min(CHUNK);
        let Some(bytes) = chunk.get_mut(..room as usize) else { break };
        // Bytes once taken are lost if they cannot be delivered, so look at the buffer first.
        if room == 0 || !writable(ctx, buffer.wrapping_add(done), bytes) {
            break;
        }
        let taken = ctx.sys.platform.read(bytes);
        ctx.write_bytes(buffer.wrapping_add(done), bytes.get(..taken).unwrap_or_default())?;
        done += taken as u64;
        if (taken as u64) < room {
            return Ok(done);
        }
    }
    if done == 0 && count != 0 { Err(Errno::EFAULT.into()) } else { Ok(done) }
}

/// Whether the guest's buffer can take `bytes.len()` bytes now. It keeps its contents.
fn writable<P: Platform>(ctx: &Ctx<'_, P>, buffer: u64, bytes: &mut [u8]) -> bool {
    ctx.read_bytes(buffer, bytes).is_ok() && ctx.write_bytes(buffer, bytes).is_ok()
}
