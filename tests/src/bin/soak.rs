//! Random steps of three domains without end, in episodes: `cargo xtask soak`.
//!
//! `soak OPERATIONS SEED [STEPS-OF-AN-EPISODE] [--tally]`, or `soak FILE.json` for one that was saved. Each episode has its own machine and a seed of its own, which
//! is the first one's plus its number: an episode that fails is made again from its seed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use pv_tests::ops::run::Sequence;
use pv_tests::ops::world::Tally;

/// Steps of an episode, if nothing else is asked for.
const EPISODE: usize = 4000;
/// Steps between two looks at the invariants.
const INTERVAL: usize = 50;
/// Runs that may be spent on making a failure short.
const TRIES: usize = 1500;

fn main() -> ExitCode {
    if let Some(path) = std::env::args().nth(1).filter(|arg| arg.ends_with(".json")) {
        return replay(Path::new(&path));
    }
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().ok());
    let (Some(Some(wanted)), Some(Some(seed))) = (args.next(), args.next()) else {
        eprintln!("soak: usage: soak OPERATIONS SEED [STEPS-OF-AN-EPISODE] [--tally]");
        return ExitCode::from(2);
    };
    let steps = args.next().flatten().map_or(EPISODE, |steps| steps as usize);
    std::panic::set_hook(Box::new(|_| {}));
    let mut total = Tally::new();
    let (began, mut done, mut episode, mut shown) = (Instant::now(), 0, 0, 0);
    while done < wanted {
        let sequence = Sequence::decode(&bytes(seed + episode, steps), steps);
        match sequence.run(INTERVAL) {
            Ok(tally) => add(&mut total, tally),
            Err(what) => {
                println!("\nsoak: seed {}: {what}", seed + episode);
                return failed(&sequence, seed + episode);
            }
        }
        done += sequence.steps.len() as u64;
        episode += 1;
        let seconds = began.elapsed().as_secs();
        if seconds != shown {
            shown = seconds;
            eprint!("\rsoak: {done} operations, {} per second ", done / seconds.max(1));
            let _ = std::io::stderr().flush();
        }
    }
    eprintln!();
    let seconds = began.elapsed().as_secs_f64();
    if std::env::args().any(|arg| arg == "--tally") {
        for ((number, cmd), (made, good)) in &total {
            println!("hypercall {number:2} command {cmd:3}: {made} made, {good} without an error");
        }
    }
    let (made, good) = total.values().fold((0, 0), |(m, g), (made, good)| (m + made, g + good));
    println!("soak: {made} hypercalls returned, {good} of them without an error");
    println!(
        "soak: {done} operations in {seconds:.0} s, seeds {seed} to {}: clean",
        seed + episode - 1
    );
    ExitCode::SUCCESS
}

/// One saved sequence, made shorter if it fails.
fn replay(path: &Path) -> ExitCode {
    let sequence = match Sequence::load(path) {
        Ok(sequence) => sequence,
        Err(error) => {
            eprintln!("soak: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    match sequence.run(1) {
        Ok(_) => ExitCode::SUCCESS,
        Err(what) => {
            println!("soak: {what}");
            failed(&sequence, 0)
        }
    }
}

fn add(total: &mut Tally, one: Tally) {
    for (key, (made, good)) in one {
        let sum = total.entry(key).or_default();
        *sum = (sum.0 + made, sum.1 + good);
    }
}

fn failed(sequence: &Sequence, seed: u64) -> ExitCode {
    println!("soak: looking for a shorter sequence");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/hypercalls");
    let short = sequence.shrink(TRIES);
    println!("soak: {} steps: {}", short.steps.len(), short.about);
    match short.save(&folder, &format!("seed-{seed}")) {
        Ok(path) => println!("soak: saved as {}", path.display()),
        Err(error) => println!("soak: cannot save it: {error}"),
    }
    ExitCode::FAILURE
}

/// The bytes of an episode: splitmix64 from a start that is mixed, too, or the episodes of
/// neighbouring seeds would be the same but for their first bytes.
fn bytes(seed: u64, steps: usize) -> Vec<u8> {
    let mut state = mix(seed ^ 0x5eed);
    let mut bytes = Vec::with_capacity(steps * 48);
    while bytes.len() < steps * 48 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bytes.extend(mix(state).to_le_bytes());
    }
    bytes
}

fn mix(z: u64) -> u64 {
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
