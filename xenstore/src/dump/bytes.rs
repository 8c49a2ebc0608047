//! Numbers and texts to bytes and back.

use alloc::vec::Vec;

use super::{Kind, RestoreError};

/// Bytes that grow.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// Bytes with their length. All that is dumped is far shorter than 4 GiB.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.raw(bytes);
    }

    /// Whether there is something, and it.
    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A record, which `fill` writes.
    pub(super) fn record(&mut self, kind: Kind, fill: impl FnOnce(&mut Self)) {
        let mut record = Self::default();
        fill(&mut record);
        self.u8(kind as u8);
        self.bytes(&record.bytes);
    }
}

/// Bytes that are read from the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn raw(&mut self, len: usize) -> Result<&'a [u8], RestoreError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(RestoreError::Cut)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RestoreError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(RestoreError::Cut)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, RestoreError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn flag(&mut self) -> Result<bool, RestoreError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RestoreError::Wrong("a flag is neither 0 nor 1")),
        }
    }

    pub(super) fn u16(&mut self) -> Result<u16, RestoreError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RestoreError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RestoreError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], RestoreError> {
        let len = self.u32()? as usize;
        self.raw(len)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RestoreError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| RestoreError::Wrong("a text is no text"))
    }

    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, RestoreError>,
    ) -> Result<Option<T>, RestoreError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A record's kind and content.
    pub(super) fn record(&mut self) -> Result<(Kind, Self), RestoreError> {
        let number = self.u8()?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == number);
        let kind = kind.ok_or(RestoreError::Wrong("a record of no known kind"))?;
        Ok((kind, Self::new(self.bytes()?)))
    }
}
