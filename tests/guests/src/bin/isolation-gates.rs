//! Isolation, point 5: `int n` reaches the trap table's handler if its DPL allows, and nothing else.
//!
//! Xen 4.17 `arch/x86/traps.c` (do_general_protection: software interrupts), `pv/traps.c`. In the
//! trap table of this guest vectors 3, 4 and 0x80 have DPL 3, 0x21 has 1, 0x22 has 0, 0x23 has 3.
//! Expected: those of sufficient DPL arrive as themselves, all others as #GP(n * 8 + 2); 0x82 is a
//! hypercall in Ring 1 and #GP in Ring 3. (QEMU 7.2 gives the hypervisor n * 16 + 2: Xen fails
//! there; a hypervisor that decodes the instruction does not.)
#![no_std]
#![no_main]
use pv_guests::expect::GP;
use pv_guests::pages::{Page, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, code, guest, must};
use ring1::abi::TrapInfo;
use ring1::calls;
use ring1::probe::probe;

guest!(run);

code! {
    // A handler of a vector of our own, whose frame is like that of 0x80: goes on in its stub.
    as_0x80: "jmp dword ptr [trap_stubs + 19 * 4]";
    system_call: "int 0x80";
    call_it(at: u32): "mov ecx, [esp + 4]", "call ecx", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    let trap = |vector, dpl| TrapInfo {
        vector,
        flags: dpl,
        cs: 0xe019,
        address: as_0x80 as *const () as u32,
    };
    let end = TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 };
    must(calls::set_trap_table(&[trap(0x21, 1), trap(0x22, 0), trap(0x23, 3), end]), "traps")?;
    let code = Page::take();
    let user = User::new()?;
    for n in 0..=255u32 {
        // int n; ret
        write32(code.va, 0x00c3_00cd | (n << 8));
        let kernel = (n != 0x82).then(|| probe(|| call_it(code.va)));
        let expected = match n {
            3 | 4 | 0x80 => (n, 0),
            0x21 | 0x23 => (0x80, 0),
            _ => (GP, n * 8 + 2),
        };
        match kernel {
            Some(Ok(())) => check!(false, "int {n:#x} in Ring 1 did nothing"),
            Some(Err(fault)) => check!(
                (fault.vector, fault.error) == expected,
                "int {n:#x} in Ring 1: vector {:#x} error {:#x}",
                fault.vector,
                fault.error
            ),
            None => {}
        }

        user.load(system_call);
        write32(user.code.va, 0x00c3_00cd | (n << 8));
        let frame = user.again(|_| {});
        let expected = match n {
            3 | 4 | 0x80 => (n, 0),
            0x23 => (0x80, 0),
            _ => (GP, n * 8 + 2),
        };
        check!(
            (frame.vector, frame.error) == expected,
            "int {n:#x} in Ring 3: vector {:#x} error {:#x}",
            frame.vector,
            frame.error
        );
    }
    Ok(())
}
