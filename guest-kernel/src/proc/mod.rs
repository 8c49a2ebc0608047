//! `/proc`: tasks and the machine, as files that are made when they are read.
//!
//! What is read is a moment's text; a file that is read in parts may show two moments. Numbers of
//! inodes say what they are: the task's number in the high bits, which of the files in the low ones.

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod files;
pub mod text;
