//! What a micro-guest's console says about the hypervisor.
//!
//! A guest prints `Test result: SUCCESS`, `SKIP reason`, `FAILURE reason` (the
//! hypervisor is wrong) or `ERROR reason` (the test itself is) and powers off. A
//! guest without a verdict, or whose boot did not end in a poweroff, is a
//! crash. Of several verdicts the most severe counts.

use std::fmt;

use crate::outcome::{Outcome, Reason};

/// A test's verdict with its reason, least severe first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The behaviour is as it should be.
    Success,
    /// The machine lacks what the test needs.
    Skip(String),
    /// The test could not do its work.
    Error(String),
    /// The behaviour is not as it should be.
    Failure(String),
    /// No verdict, or the end was not a poweroff.
    Crash(String),
}

/// Whether a verdict is the expected one. An expected crash is the guest's own, and the
/// hypervisor lives on: a panic, a refusal or a timeout never is what a test wants.
pub fn is_expected(verdict: &Verdict, expect: &str, outcome: &Outcome) -> bool {
    let own = !matches!(verdict, Verdict::Crash(_)) || *outcome == Outcome::Shutdown(Reason::Crash);
    verdict.word() == expect && own
}

impl Verdict {
    /// The word in `Test result: WORD`, by which a manifest expects it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Skip(_) => "SKIP",
            Self::Error(_) => "ERROR",
            Self::Failure(_) => "FAILURE",
            Self::Crash(_) => "CRASH",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Success => "",
            Self::Skip(why) | Self::Error(why) | Self::Failure(why) | Self::Crash(why) => why,
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let verdict = line.trim().strip_prefix("Test result: ")?;
        let (word, reason) = verdict.split_once(' ').unwrap_or((verdict, ""));
        let reason = reason.trim().to_string();
        match word {
            "SUCCESS" => Some(Self::Success),
            "SKIP" => Some(Self::Skip(reason)),
            "ERROR" => Some(Self::Error(reason)),
            "FAILURE" => Some(Self::Failure(reason)),
            _ => Some(Self::Error(format!("an unknown verdict: {verdict}"))),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => f.write_str(self.word()),
            reason => write!(f, "{}: {reason}", self.word()),
        }
    }
}

/// Collects verdict lines while a guest runs.
#[derive(Default)]
pub struct Judge {
    worst: Option<Verdict>,
}

impl Judge {
    /// Looks at a line of the console.
    pub fn line(&mut self, line: &str) {
        let verdict = Verdict::from_line(line);
        self.worst = self.worst.take().max(verdict);
    }

    /// The verdict, once it is known how the boot ended.
    pub fn verdict(self, outcome: &Outcome) -> Verdict {
        match (outcome, self.worst) {
            (Outcome::Shutdown(Reason::Poweroff), Some(verdict)) => verdict,
            (Outcome::Shutdown(Reason::Poweroff), None) => {
                Verdict::Crash("it powered off without a verdict".into())
            }
            (other, _) => Verdict::Crash(other.describe()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POWEROFF: Outcome = Outcome::Shutdown(Reason::Poweroff);

    /// The verdict on a console log.
    fn judged(log: &str, outcome: &Outcome) -> Verdict {
        let mut judge = Judge::default();
        log.lines().for_each(|line| judge.line(line));
        judge.verdict(outcome)
    }

    #[test]
    fn verdict_lines_are_read() {
        let log = "(FR) [0.1] Ferrule\r\nhypercall-version\r\nTest result: SUCCESS\r\n";
        assert_eq!(judged(log, &POWEROFF), Verdict::Success);
        let log = "Test result: SKIP no second CPU\n";
        assert_eq!(judged(log, &POWEROFF), Verdict::Skip("no second CPU".into()));
        let log = "Test result: FAILURE a store to an L1 went through\n";
        let failure = judged(log, &POWEROFF);
        assert_eq!(failure.to_string(), "FAILURE: a store to an L1 went through");
        assert_eq!(judged("Test result: MAYBE\n", &POWEROFF).word(), "ERROR");
        assert_eq!(judged("Test result: ERROR bad test\n", &POWEROFF).word(), "ERROR");
    }

    #[test]
    fn no_verdict_is_a_crash() {
        assert_eq!(judged("hello\n", &POWEROFF).word(), "CRASH");
        let crash = Outcome::Shutdown(Reason::Crash);
        assert_eq!(judged("Test result: SUCCESS\n", &crash).word(), "CRASH");
        for outcome in [Outcome::TimedOut, Outcome::Panic, Outcome::Refused] {
            assert_eq!(judged("Test result: SUCCESS\n", &outcome).word(), "CRASH");
        }
    }

    #[test]
    fn only_the_guests_own_crash_can_be_expected() {
        let crash = Outcome::Shutdown(Reason::Crash);
        assert!(is_expected(&judged("", &crash), "CRASH", &crash));
        for outcome in [Outcome::Panic, Outcome::TimedOut, Outcome::Refused, POWEROFF] {
            assert!(!is_expected(&judged("", &outcome), "CRASH", &outcome), "{outcome:?}");
        }
        assert!(is_expected(&Verdict::Success, "SUCCESS", &POWEROFF));
        assert!(!is_expected(&Verdict::Success, "FAILURE", &POWEROFF));
    }

    #[test]
    fn the_most_severe_counts() {
        let log = "Test result: SUCCESS\nTest result: FAILURE x\nTest result: SKIP y\n";
        assert_eq!(judged(log, &POWEROFF), Verdict::Failure("x".into()));
    }
}
