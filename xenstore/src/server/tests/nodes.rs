//! Reading and changing nodes.

use pv_abi::errno::Errno;
use std::format;
use std::string::String;
use std::vec::Vec;

use crate::client::Store;
use crate::harness::{World, ask, perms, refused};
use crate::wire::MessageType;

#[test]
fn values_are_bytes() {
    let mut client = World::new().client(0);
    client.write("/a/b", b"\0\xff\0").unwrap();
    assert_eq!(client.read("/a/b").unwrap().unwrap(), b"\0\xff\0");
    assert_eq!(client.read("/a").unwrap().unwrap(), b"");
    client.write("/a/b", b"").unwrap();
    assert_eq!(client.read("/a/b").unwrap().unwrap(), b"");
    assert_eq!(client.read("/a/c").unwrap(), None);
}

#[test]
fn the_longest_value_that_a_message_carries() {
    let mut client = World::new().client(0);
    let value = [7; 4096 - 3];
    client.write("/a", &value).unwrap();
    assert_eq!(client.read("/a").unwrap().unwrap(), value);
}

#[test]
fn a_new_store_has_what_xens_has() {
    let mut client = World::new().client(0);
    assert_eq!(client.directory("/").unwrap().unwrap(), ["tool"]);
    assert_eq!(client.directory("/tool").unwrap().unwrap(), ["xenstored"]);
    assert_eq!(client.get_perms("/").unwrap().unwrap(), perms("n0"));
}

#[test]
fn mkdir_leaves_what_is_there() {
    let mut client = World::new().client(0);
    client.write("/a", b"1").unwrap();
    client.mkdir("/a").unwrap();
    client.mkdir("/a/b/c").unwrap();
    assert_eq!(client.read("/a").unwrap().unwrap(), b"1");
    assert_eq!(client.read("/a/b/c").unwrap().unwrap(), b"");
}

#[test]
fn rm_takes_all_below() {
    let world = World::new();
    let mut client = world.client(0);
    for path in ["/a/b/c", "/a/b/d/e", "/a-b", "/ab"] {
        client.write(path, b"1").unwrap();
    }
    client.rm("/a").unwrap();
    assert_eq!(client.read("/a/b/d/e").unwrap(), None);
    assert_eq!(client.directory("/").unwrap().unwrap(), ["a-b", "ab", "tool"]);
    world.server.borrow().check().unwrap();
    // Absent below a parent that is there is fine, else not.
    client.rm("/a").unwrap();
    assert_eq!(client.rm("/a/b"), refused(Errno::ENOENT));
    assert_eq!(client.rm("/"), refused(Errno::EINVAL));
}

#[test]
fn directories_are_sorted_and_only_direct_children() {
    let mut client = World::new().client(0);
    for path in ["/d/b", "/d/a/x", "/d/a/y", "/d/c", "/d-/z", "/d/a-1"] {
        client.mkdir(path).unwrap();
    }
    assert_eq!(client.directory("/d").unwrap().unwrap(), ["a", "a-1", "b", "c"]);
    assert_eq!(client.directory("/d/b").unwrap().unwrap(), Vec::<String>::new());
    assert_eq!(client.directory("/e").unwrap(), None);
}

#[test]
fn long_directories_come_in_parts() {
    let mut client = World::new().client(0);
    let names: Vec<String> = (0..1000).map(|number| format!("name-{number:04}")).collect();
    for name in &names {
        client.mkdir(&format!("/d/{name}")).unwrap();
    }
    assert_eq!(ask(&mut client, MessageType::Directory, 0, b"/d\0"), refused(Errno::E2BIG));
    assert_eq!(client.directory("/d").unwrap().unwrap(), names);
}

#[test]
fn parts_of_directories() {
    let mut client = World::new().client(0);
    client.mkdir("/d/ab").unwrap();
    client.mkdir("/d/cd").unwrap();
    let mut part = |payload: &[u8]| ask(&mut client, MessageType::DirectoryPart, 0, payload);
    let generation = |reply: &[u8]| reply.iter().position(|byte| *byte == 0).unwrap() + 1;
    let whole = part(b"/d\x000\0").unwrap();
    assert_eq!(whole[generation(&whole)..], *b"ab\0cd\0\0");
    let middle = part(b"/d\x004\0").unwrap();
    assert_eq!(middle[generation(&middle)..], *b"d\0\0");
    assert_eq!(middle[..generation(&middle)], whole[..generation(&whole)]);
    for offset in ["6", "4294967295"] {
        let end = part(format!("/d\0{offset}\0").as_bytes()).unwrap();
        assert_eq!(end[generation(&end)..], *b"\0");
    }
    for wrong in [&b"/d\0"[..], b"/d\0x\0", b"/d\x001\x002\0", b"/d\0-1\0", b""] {
        assert_eq!(part(wrong), refused(Errno::EINVAL), "{wrong:?}");
    }
    client.mkdir("/d/e").unwrap();
    let later = ask(&mut client, MessageType::DirectoryPart, 0, b"/d\x000\0").unwrap();
    assert_ne!(later[..generation(&later)], whole[..generation(&whole)]);
}

#[test]
fn paths_must_be_valid() {
    let mut client = World::new().client(0);
    for path in ["/a/", "//a", "/a b", "/a.b", "", "@a"] {
        assert_eq!(client.read(path), refused(Errno::EINVAL), "{path}");
        assert_eq!(client.write(path, b""), refused(Errno::EINVAL), "{path}");
        assert_eq!(client.rm(path), refused(Errno::EINVAL), "{path}");
        assert_eq!(client.mkdir(path), refused(Errno::EINVAL), "{path}");
    }
    let name = |len: usize| "a".repeat(len);
    client.mkdir(&format!("/{}", name(3071))).unwrap();
    assert_eq!(client.mkdir(&format!("/{}", name(3072))), refused(Errno::EINVAL));
    client.mkdir(&name(2048)).unwrap();
    assert_eq!(client.mkdir(&name(2049)), refused(Errno::EINVAL));
}

#[test]
fn relative_paths_begin_at_home() {
    let world = World::new();
    let mut zero = world.client(0);
    let mut five = world.domain(5);
    five.write("a/b", b"1").unwrap();
    assert_eq!(zero.read("/local/domain/5/a/b").unwrap().unwrap(), b"1");
    zero.write("a", b"2").unwrap();
    assert_eq!(zero.read("/local/domain/0/a").unwrap().unwrap(), b"2");
}

#[test]
fn payloads_must_have_their_form() {
    let mut client = World::new().client(0);
    use MessageType as Is;
    for kind in [Is::Read, Is::Directory, Is::Mkdir, Is::Rm, Is::GetPerms, Is::Write, Is::SetPerms]
    {
        for wrong in [&b""[..], b"/tool"] {
            assert_eq!(ask(&mut client, kind, 0, wrong), refused(Errno::EINVAL), "{kind:?}");
        }
    }
    for kind in [Is::Read, Is::Directory, Is::Mkdir, Is::Rm, Is::GetPerms] {
        let reply = ask(&mut client, kind, 0, b"/tool\0x");
        assert_eq!(reply, refused(Errno::EINVAL), "{kind:?}");
    }
    assert_eq!(ask(&mut client, Is::SetPerms, 0, b"/tool\0"), refused(Errno::EINVAL));
    assert_eq!(ask(&mut client, Is::SetPerms, 0, b"/tool\0q0\0"), refused(Errno::EINVAL));
}
