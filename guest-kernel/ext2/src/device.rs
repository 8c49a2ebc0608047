//! What a volume lies on.

/// The device failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

/// When a write reaches the disk, of all those before the next flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// First: contents of files, directories, blocks of pointers.
    Contents,
    /// Once all contents are there: inodes, bitmaps, group descriptors, the superblock.
    Structure,
}

/// A row of bytes that lasts, with a cache before it: what is read or written may be as short as four
/// bytes. A range within one block of the file system never crosses two of the device's sectors
/// unless it begins and ends with them.
pub trait Device {
    /// How many bytes there are.
    fn bytes(&self) -> u64;

    /// Reads from byte `at` on, until `into` is full.
    ///
    /// # Errors
    /// The device failed, or the range ends behind its end.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Failed>;

    /// Writes all of `from` at byte `at`, to be read at once and to last after the next flush.
    ///
    /// # Errors
    /// The device failed, or the range ends behind its end.
    fn write(&self, at: u64, from: &[u8], order: Order) -> Result<(), Failed>;

    /// Returns when all that was written lasts: the contents first.
    ///
    /// # Errors
    /// Some of it may be lost.
    fn flush(&self) -> Result<(), Failed>;
}
