//! From C expressions to values, through the compiler and an object file.

use super::rows::Row;
use object::{Object, ObjectSection, ObjectSymbol};
use pv_abi::manifest::Width;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where `libxen-dev` puts the headers.
pub const HEADERS: &str = "/usr/include/xen";

/// A guest width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// x86_32p.
    B32,
    /// x86_64.
    B64,
}

impl Bits {
    /// As the manifest says it.
    pub fn width(self) -> Width {
        match self {
            Self::B32 => Width::X86_32,
            Self::B64 => Width::X86_64,
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::B32 => "-m32",
            Self::B64 => "-m64",
        }
    }
}

/// What every program begins with. `__XEN_TOOLS__` selects the latest interface
/// version and makes the headers state what only toolstacks use; it changes no
/// other layout. `trap_info_all_ones` is an argument for macros that take a
/// structure; `ring_head_sring` is a ring whose entries have no size.
const PRELUDE: &str = "\
#define __XEN_TOOLS__ 1
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/domctl.h>
#include <xen/elfnote.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/netif.h>
#include <xen/io/protocols.h>
#include <xen/io/ring.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
struct ring_entry {};
DEFINE_RING_TYPES(ring_head, struct ring_entry, struct ring_entry);
static const struct trap_info trap_info_all_ones = { 0xff, 0xff, 0xffff, ~0ul };
";

/// The values of the rows' expressions; panics with the compiler's words.
pub fn evaluate(rows: &[Row], bits: Bits) -> Vec<u64> {
    try_evaluate(rows, bits).unwrap_or_else(|error| panic!("{error}"))
}

/// The values of the rows' expressions, or what the compiler says.
pub fn try_evaluate(rows: &[Row], bits: Bits) -> Result<Vec<u64>, String> {
    let mut source = String::from(PRELUDE);
    source.push_str("const unsigned long long abi_rows[] = {\n");
    for row in rows {
        // An error in the expression is reported under the row's name.
        let label = row.label.replace(['"', '\\'], "'");
        source.push_str(&format!("#line 1 \"{label}\"\n(unsigned long long)({}),\n", row.c));
    }
    source.push_str("};\n");

    let object = run_compiler(&source, bits, &["-O2", "-c"])?;
    let values = read_rows(&object)?;
    if values.len() == rows.len() { Ok(values) } else { Err("rows are missing".into()) }
}

/// The preprocessed headers, with the definitions of macros in place.
pub fn preprocess(bits: Bits) -> String {
    let output = run_compiler(PRELUDE, bits, &["-E", "-dD"]).unwrap_or_else(|e| panic!("{e}"));
    String::from_utf8(output).expect("the headers are text")
}

/// Compiles a source and returns what the compiler writes.
fn run_compiler(source: &str, bits: Bits, options: &[&str]) -> Result<Vec<u8>, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !Path::new(HEADERS).join("xen.h").exists() {
        return Err(format!(
            "Xen's public headers are not in {HEADERS}: install Debian's package `libxen-dev` \
             (apt-get install libxen-dev)"
        ));
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let stem = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("abi-layout-{}-{number}", std::process::id()));
    let (input, output) = (stem.with_extension("c"), stem.with_extension("out"));
    let result = (|| {
        std::fs::write(&input, source).map_err(|e| format!("{}: {e}", input.display()))?;
        let compiler = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
        let run = Command::new(&compiler)
            .args([bits.option(), "-std=gnu11", "-ffreestanding"])
            .args(options)
            .arg("-o")
            .args([&output, &input])
            .output()
            .map_err(|e| format!("cannot run the C compiler `{compiler}` (package gcc): {e}"))?;
        if !run.status.success() {
            return Err(String::from_utf8_lossy(&run.stderr).into_owned());
        }
        std::fs::read(&output).map_err(|e| format!("{}: {e}", output.display()))
    })();
    for file in [&input, &output] {
        // Gone or never made: both are fine.
        let _ = std::fs::remove_file(file);
    }
    result
}

/// Reads the array `abi_rows` out of an object file.
fn read_rows(file: &[u8]) -> Result<Vec<u64>, String> {
    let file = object::File::parse(file).map_err(|e| format!("the object file: {e}"))?;
    let symbol = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("abi_rows"))
        .ok_or("the object file has no `abi_rows`")?;
    let section = symbol.section_index().ok_or("`abi_rows` is in no section")?;
    let section = file.section_by_index(section).map_err(|e| e.to_string())?;
    let bytes = section
        .data_range(symbol.address(), symbol.size())
        .map_err(|e| e.to_string())?
        .ok_or("`abi_rows` is outside of its section")?;
    let (values, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err("`abi_rows` is not an array of 8-byte numbers".into());
    }
    Ok(values.iter().map(|value| u64::from_le_bytes(*value)).collect())
}
