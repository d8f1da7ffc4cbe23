//! How small values are stored: numbers and texts one after the other, each text with its length before it.

use bytes::Bytes;

/// Writes a value.
#[derive(Debug, Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Appends a byte.
    pub fn byte(mut self, value: u8) -> Encoder {
        self.0.push(value);
        self
    }

    /// Appends a number.
    pub fn number(mut self, value: u64) -> Encoder {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends bytes with their length.
    pub fn bytes(mut self, value: &[u8]) -> Encoder {
        // Nothing that is stored comes near 4 GiB: stanzas end at the limit of their stream.
        self.0.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Appends text with its length.
    pub fn text(self, value: &str) -> Encoder {
        self.bytes(value.as_bytes())
    }

    /// Appends text that may be missing.
    pub fn maybe(self, value: Option<&str>) -> Encoder {
        match value {
            Some(text) => self.byte(1).text(text),
            None => self.byte(0),
        }
    }

    /// What was written.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }
}

/// Reads what an [`Encoder`] wrote; `None` where it is something else.
#[derive(Debug)]
pub struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*head))
    }

    /// The next bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*head) as usize;
        if rest.len() < length {
            return None;
        }
        let (value, rest) = rest.split_at(length);
        self.0 = rest;
        Some(value)
    }

    /// The next text that may be missing.
    pub fn maybe(&mut self) -> Option<Option<&'a str>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.text().map(Some),
        }
    }

    /// The next text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
