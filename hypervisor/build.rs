//! Names the compiler to the hypervisor, and hands the linker script to the bare-metal program.
//!
//! Only the binary built for the bare target is linked by it: the library's host tests and
//! the other packages keep the host's own layout.

use std::env;
use std::process::Command;

fn main() {
    let script = "src/arch/x86_64/link.ld";
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=FERRULE_COMPILER={}", compiler());
    let bare = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none");
    if !bare || env::var_os("CARGO_FEATURE_IMAGE").is_none() {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let linker_arguments = [
        format!("-T{root}/{script}"),
        // The target asks for a self-relocating program. Ours is loaded where it is linked,
        // so every relocation is resolved now and none is left for run time.
        "--no-pie".to_owned(),
        "--no-dynamic-linker".to_owned(),
        "--build-id=none".to_owned(),
        "--gc-sections".to_owned(),
        "--orphan-handling=error".to_owned(),
    ];
    for argument in linker_arguments {
        println!("cargo::rustc-link-arg-bin=ferrule={argument}");
    }
}

/// `rustc 1.85.0`: the compiler's own word for itself, without what follows its version.
fn compiler() -> String {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let said = Command::new(rustc).arg("--version").output().map(|output| output.stdout);
    let said = said.unwrap_or_default();
    let words = String::from_utf8_lossy(&said);
    match words.split_whitespace().take(2).collect::<Vec<_>>().join(" ") {
        version if version.is_empty() => "rustc".to_owned(),
        version => version,
    }
}
