//! The rings in the machine's memory, which is a file.
//!
//! The description is found by what it begins with; `trace-format` says what is in it. Words
//! that are no record are left out: the machine may have died in the middle of one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use trace_format::{FRAME_WORDS, MAGIC, RECORD_WORDS, RECORDS_IN_FRAME, Record, capacity, header};

const FRAME_BYTES: u64 = 4096;
/// More than a machine of ours has.
const MOST_CPUS: usize = 64;

/// One run's trace.
#[derive(Debug)]
pub struct Trace {
    /// How ticks become time.
    pub clock: Clock,
    /// The records of each CPU, oldest first.
    pub cpus: Vec<Vec<Record>>,
    /// Records that were written over by later ones.
    pub lost: u64,
}

/// How ticks become nanoseconds of system time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    timestamp: u64,
    system_time: u64,
    mul_frac: u64,
    shift: i64,
}

impl Clock {
    /// System time when the counter showed `tsc`.
    pub fn ns(&self, tsc: u64) -> u64 {
        let ticks = i128::from(tsc) - i128::from(self.timestamp);
        let shifted = if self.shift >= 0 { ticks << self.shift } else { ticks >> -self.shift };
        let ns = i128::from(self.system_time) + ((shifted * i128::from(self.mul_frac)) >> 32);
        u64::try_from(ns).unwrap_or(0)
    }

    /// A clock of which a tick is a nanosecond.
    #[cfg(test)]
    pub fn of_nanoseconds() -> Self {
        Self { timestamp: 0, system_time: 0, mul_frac: 1 << 31, shift: 1 }
    }
}

/// Reads the trace in a machine's memory.
pub fn read(memory: &Path) -> Result<Trace> {
    let file = File::open(memory).with_context(|| format!("cannot open {}", memory.display()))?;
    let words = description(&file)?.context("the machine's memory has no trace")?;
    let cpus = words[header::CPUS] as usize;
    let frames = words[header::FRAMES];
    ensure!(cpus <= MOST_CPUS && frames > 1, "the trace is of {cpus} CPUs, {frames} frames each");
    let mut trace = Trace {
        clock: Clock {
            timestamp: words[header::TIMESTAMP],
            system_time: words[header::SYSTEM_TIME],
            mul_frac: words[header::MUL_FRAC],
            shift: words[header::SHIFT] as i64,
        },
        cpus: Vec::new(),
        lost: 0,
    };
    for base in &words[header::RINGS..header::RINGS + cpus] {
        let ring = base * FRAME_BYTES;
        let count = frame(&file, ring)?[0];
        let kept = count.min(capacity(frames));
        trace.lost += count - kept;
        let mut records = Vec::new();
        let mut loaded = None;
        for index in count - kept..count {
            let place = index % capacity(frames);
            let number = 1 + place / RECORDS_IN_FRAME;
            if loaded.as_ref().is_none_or(|(at, _)| *at != number) {
                loaded = Some((number, frame(&file, ring + number * FRAME_BYTES)?));
            }
            let Some((_, words)) = &loaded else { continue };
            let first = (place % RECORDS_IN_FRAME) as usize * RECORD_WORDS;
            let mut record = [0; RECORD_WORDS];
            record.copy_from_slice(&words[first..first + RECORD_WORDS]);
            records.extend(Record::from_words(record));
        }
        trace.cpus.push(records);
    }
    Ok(trace)
}

/// The frame that describes the others.
fn description(file: &File) -> Result<Option<[u64; FRAME_WORDS]>> {
    for address in (0..file.metadata()?.len()).step_by(FRAME_BYTES as usize) {
        let mut first = [0; 8];
        file.read_exact_at(&mut first, address)?;
        if u64::from_le_bytes(first) == MAGIC {
            return frame(file, address).map(Some);
        }
    }
    Ok(None)
}

fn frame(file: &File, address: u64) -> Result<[u64; FRAME_WORDS]> {
    let mut bytes = [0; FRAME_BYTES as usize];
    file.read_exact_at(&mut bytes, address)
        .with_context(|| format!("the machine has no memory at {address:#x}"))?;
    let mut words = [0; FRAME_WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use trace_format::What;

    #[test]
    fn rings_that_went_round_begin_in_the_middle() {
        let record = |tsc| Record { tsc, domain: 0, vcpu: 1, what: What::Upcall };
        // Frame 1 describes a ring of two frames at 2: 130 records in 128 places.
        let mut words = vec![0u64; 4 * FRAME_WORDS];
        let description = FRAME_WORDS;
        words[description + header::MAGIC] = MAGIC;
        words[description + header::CPUS] = 1;
        words[description + header::FRAMES] = 2;
        words[description + header::RINGS] = 2;
        words[2 * FRAME_WORDS] = 130;
        for index in 2..130 {
            let at = 3 * FRAME_WORDS + index % 128 * RECORD_WORDS;
            words[at..at + RECORD_WORDS].copy_from_slice(&record(index as u64).to_words());
        }
        let dir = crate::scratch::Scratch::new().unwrap();
        let file = dir.path().join("memory");
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(&file, bytes).unwrap();
        let trace = read(&file).unwrap();
        assert_eq!((trace.lost, trace.cpus.len(), trace.cpus[0].len()), (2, 1, 128));
        assert_eq!(trace.cpus[0][0], record(2));
        assert_eq!(trace.cpus[0][127], record(129));
        fs::write(&file, [0; 8192]).unwrap();
        assert!(read(&file).is_err(), "no trace");
    }

    #[test]
    fn ticks_become_time() {
        let clock = Clock { timestamp: 1000, system_time: 5_000, mul_frac: 1 << 31, shift: 0 };
        assert_eq!(clock.ns(1000), 5_000);
        assert_eq!(clock.ns(3000), 6_000);
        assert_eq!(clock.ns(0), 4_500, "before the stamp");
        assert_eq!(Clock::of_nanoseconds().ns(77), 77);
    }
}
