//! I/O ports: what a domain that may use an instruction finds behind its ports.

use hypervisor::trap::emulate::ports;
use pv_tests::guest::{Guest, Spec};
use pv_tests::machine::PortAccess::{self, Read, Write};

fn domain(privileged: bool) -> Guest {
    Guest::with(Spec { privileged, id: if privileged { 0 } else { 7 }, ..Spec::default() })
}

fn read(guest: &mut Guest, port: u16, bytes: u8) -> (u32, Vec<PortAccess>) {
    let value = guest.enter(|ctx| ports::read(ctx, port, bytes));
    (value, guest.machine().take_port_log())
}

fn write(guest: &mut Guest, port: u16, bytes: u8, value: u32) -> Vec<PortAccess> {
    guest.enter(|ctx| ports::write(ctx, port, bytes, value));
    guest.machine().take_port_log()
}

#[test]
fn a_domain_without_ports_reads_ones_and_writes_nothing() {
    let mut guest = domain(false);
    for port in [0, 0x42, 0x43, 0x61, 0x71, 0x3f8, 0xcf8, 0xcfc, 0xffff] {
        assert_eq!(read(&mut guest, port, 1), (0xff, vec![]), "{port:#x}");
        assert_eq!(write(&mut guest, port, 1, 0x12), [], "{port:#x}");
    }
    for port in [0x60, 0x3f8, 0xcfc, 0xcfe, 0xffff] {
        assert_eq!(read(&mut guest, port, 4), (!0, vec![]), "{port:#x}");
        assert_eq!(read(&mut guest, port, 2), (0xffff, vec![]), "{port:#x}");
        assert_eq!(write(&mut guest, port, 4, 0x1234), [], "{port:#x}");
    }
}

#[test]
fn the_index_ports_are_each_domains_own() {
    let mut guest = domain(false);
    assert_eq!(write(&mut guest, 0x70, 1, 0x8b), []);
    assert_eq!(read(&mut guest, 0x70, 1), (0x8b, vec![]));
    assert_eq!(read(&mut guest, 0x70, 2), (0xff8b, vec![]));
    assert_eq!(write(&mut guest, 0xcf8, 4, 0x8000_1234), []);
    assert_eq!(read(&mut guest, 0xcf8, 4), (0x8000_1234, vec![]));
    assert_eq!(read(&mut guest, 0xcf8, 1), (0xff, vec![]), "by bytes it is another device");
}

#[test]
fn what_a_domain_has_is_accessed_as_it_asked() {
    let mut guest = domain(false);
    let permissions = &guest.sys.domain(guest.id).unwrap().permissions;
    permissions.permit_ports(0x300, 0x303).unwrap();
    permissions.permit_ports(0xfffe, 0xffff).unwrap();
    assert_eq!(write(&mut guest, 0x300, 4, 0x1122_3344), [Write(0x300, 4, 0x1122_3344)]);
    assert_eq!(read(&mut guest, 0x300, 4), (0x1122_3344, vec![Read(0x300, 4)]));
    assert_eq!(read(&mut guest, 0x302, 2), (0x1122, vec![Read(0x302, 2)]));
    // Part of it only.
    assert_eq!(read(&mut guest, 0x302, 4), (0xffff_1122, vec![Read(0x302, 2)]));
    assert_eq!(read(&mut guest, 0x2ff, 4), (0x2233_44ff, vec![Read(0x300, 2), Read(0x302, 1)]));
    assert_eq!(write(&mut guest, 0x303, 2, 0xaabb), [Write(0x303, 1, 0xbb)]);
    // Past the last port there is nothing, not port 0.
    assert_eq!(read(&mut guest, 0xffff, 2), (0xff00, vec![Read(0xffff, 1)]));
    assert_eq!(write(&mut guest, 0xfffe, 4, 0x5566_7788), [Write(0xfffe, 2, 0x7788)]);
    guest.sys.domain(guest.id).unwrap().permissions.deny_ports(0x301, 0x301).unwrap();
    assert_eq!(read(&mut guest, 0x300, 4), (0xbb22_ff44, vec![Read(0x300, 1), Read(0x302, 2)]),);
}

#[test]
fn domain_0_has_all_but_what_the_hypervisor_drives() {
    let guest = domain(true);
    let permissions = &guest.domain().permissions;
    for port in [0x20, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x3f8, 0x3ff, 0xcfc, 0xcff] {
        assert!(!permissions.has_ports(port, 1), "{port:#x}");
    }
    for port in [0, 0x1f, 0x22, 0x60, 0x64, 0x70, 0x71, 0x2f8, 0x3f7, 0x400, 0xcf8, 0xffff] {
        assert!(permissions.has_ports(port, 1), "{port:#x}");
    }
}

#[test]
fn domain_0_has_the_speaker_and_its_timer() {
    let mut guest = domain(true);
    guest.machine().devices().ports.insert(0x61, 0xfd);
    assert_eq!(read(&mut guest, 0x61, 1), (0xfd, vec![Read(0x61, 1)]));
    assert_eq!(write(&mut guest, 0x61, 1, 0xf2), [Read(0x61, 1), Write(0x61, 1, 0xfe)]);
    assert_eq!(write(&mut guest, 0x42, 1, 0x34), [Write(0x42, 1, 0x34)]);
    // Channels 0 and 1 are not its own, alone or read back with channel 2.
    assert_eq!(write(&mut guest, 0x43, 1, 0xb6), [Write(0x43, 1, 0xb6)]);
    assert_eq!(write(&mut guest, 0x43, 1, 0x36), []);
    assert_eq!(write(&mut guest, 0x43, 1, 0x76), []);
    assert_eq!(write(&mut guest, 0x43, 1, 0xee), [Write(0x43, 1, 0xe8)]);
    assert_eq!(write(&mut guest, 0x43, 1, 0xe6), []);
    assert_eq!(read(&mut guest, 0x40, 1), (0xff, vec![]));
    assert_eq!(read(&mut guest, 0x43, 1), (0xff, vec![]));
}

#[test]
fn index_and_data_go_together() {
    let mut guest = domain(true);
    write(&mut guest, 0x70, 1, 0x8d);
    // With the index that the domain set, and NMIs left alone.
    assert_eq!(read(&mut guest, 0x71, 1).1, [Write(0x70, 1, 0x0d), Read(0x71, 1)]);
    assert_eq!(write(&mut guest, 0x71, 1, 0x55), [Write(0x70, 1, 0x0d), Write(0x71, 1, 0x55)],);
    // Both at once: the index, then the data there.
    assert_eq!(write(&mut guest, 0x70, 2, 0x660e), [Write(0x70, 1, 0x0e), Write(0x71, 1, 0x66)],);
    assert_eq!(write(&mut guest, 0xcf8, 4, 0x8000_0810), []);
    assert_eq!(read(&mut guest, 0xcfe, 2).1, [Write(0xcf8, 4, 0x8000_0810), Read(0xcfe, 2)],);
    assert_eq!(
        write(&mut guest, 0xcfd, 4, 0x1122_3344),
        // Two bytes, one byte, and then the access has left the register.
        [
            Write(0xcf8, 4, 0x8000_0810),
            Write(0xcfd, 2, 0x3344),
            Write(0xcf8, 4, 0x8000_0810),
            Write(0xcff, 1, 0x22),
            Write(0xd00, 1, 0x11),
        ],
    );
    // The reset control beside the address is domain 0's.
    assert_eq!(write(&mut guest, 0xcf9, 1, 0), [Write(0xcf9, 1, 0)]);
}
