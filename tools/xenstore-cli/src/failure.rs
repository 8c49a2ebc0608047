//! Why a verb failed: a sentence for standard error, and an exit code.

use std::fmt;

/// What ends the program early.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    text: Text,
}

#[derive(Debug)]
enum Text {
    /// Nothing: the exit code says it all.
    None,
    Sentence(String),
    /// What clap says, in colours where it can, and on standard output if that was asked for.
    Usage(Box<clap::Error>),
}

impl Failure {
    /// Exit code 1 with a sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { code: 1, text: Text::Sentence(sentence.into()) }
    }

    /// An exit code with a sentence.
    pub fn with_code(code: u8, sentence: impl Into<String>) -> Self {
        Self { code, text: Text::Sentence(sentence.into()) }
    }

    /// An exit code without any message.
    pub fn quiet(code: u8) -> Self {
        Self { code, text: Text::None }
    }

    /// The command line was wrong, or asked for help.
    pub fn usage(error: clap::Error, code: u8) -> Self {
        Self { code, text: Text::Usage(Box::new(error)) }
    }

    /// Prints it where it belongs.
    pub fn print(&self) {
        match &self.text {
            Text::None => {}
            Text::Sentence(sentence) => eprintln!("xenstore-cli: {sentence}"),
            // If nobody reads it there is nobody to tell.
            Text::Usage(error) => drop(error.print()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Text::None => Ok(()),
            Text::Sentence(sentence) => f.write_str(sentence),
            Text::Usage(error) => error.fmt(f),
        }
    }
}
