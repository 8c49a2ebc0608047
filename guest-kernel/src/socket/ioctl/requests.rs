//! `ioctl` as programs call it.

use super::{ADD_ROUTE, DELETE_ROUTE, GET_LIST, REQUEST, ROUTE};
use crate::errno::{EINVAL, ENETDOWN};
use crate::fs::file::Result;
use crate::socket::file::Socket;
use crate::socket::task;
use alloc::vec::Vec;
use ring1::uaccess::{copy_from_user, copy_to_user, read_user, write_user};

/// `FIONREAD`.
const READABLE: u32 = 0x541b;

/// Serves an `ioctl` on a socket, with an argument in the running process.
pub fn serve(socket: &Socket, request: u32, argument: u32) -> Result<u32> {
    match request {
        READABLE => {
            let count = socket.with(|stack, id| stack.readable(id))?;
            write_user(argument, &(count as u32))?;
        }
        GET_LIST => list(argument)?,
        ADD_ROUTE | DELETE_ROUTE => {
            let mut route = [0; ROUTE];
            copy_from_user(&mut route, argument)?;
            task::change(|stack| stack.route_request(request, &route)).ok_or(ENETDOWN)??;
        }
        _ => {
            let mut bytes = [0; REQUEST];
            copy_from_user(&mut bytes, argument)?;
            task::change(|stack| stack.interface_request(request, &mut bytes))
                .ok_or(ENETDOWN)??;
            copy_to_user(argument, &bytes)?;
        }
    }
    Ok(0)
}

/// `SIOCGIFCONF(struct ifconf { length, *requests })`: as many as there is room for; without a place
/// for them, how much room they need.
fn list(argument: u32) -> Result {
    let [room, at]: [u32; 2] = read_user(argument)?;
    if room.cast_signed() < 0 {
        return Err(EINVAL);
    }
    let listed: Vec<_> = task::with(|stack| stack.list_interfaces().collect()).ok_or(ENETDOWN)?;
    let fits = if at == 0 { listed.len() } else { listed.len().min(room as usize / REQUEST) };
    if at != 0 {
        copy_to_user(at, listed[..fits].as_flattened())?;
    }
    write_user(argument, &((fits * REQUEST) as u32))?;
    Ok(())
}
