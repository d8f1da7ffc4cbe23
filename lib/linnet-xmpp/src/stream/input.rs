//! Cuts what comes in into frames and keeps the piece at the end that is not yet a whole one.

use crate::xml::{Frame, FrameKind, Framer, XmlError};
use bytes::Bytes;
use std::mem;

/// How much more of the input is looked at, in turn, while a frame that began in an earlier read is not complete.
/// Small at first, so that little is copied twice where the frame ends soon.
const STEPS: [usize; 3] = [512, 4096, usize::MAX];

/// The input of one stream.
#[derive(Debug)]
pub(super) struct Input {
    framer: Framer,
    /// The beginning of a frame whose end has not come. Holds no allocation when there is none.
    pending: Vec<u8>,
}

impl Input {
    pub(super) fn new(limit: usize) -> Input {
        Input { framer: Framer::new(limit), pending: Vec::new() }
    }

    /// The next frame from what is kept and the front of `input`, or `None` when all of `input` was taken.
    /// Frames that are always the same (white space, the end tag) come without their bytes.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<(FrameKind, Bytes)>, XmlError> {
        if !self.pending.is_empty() {
            return self.complete(input);
        }
        match self.framer.next(input)? {
            Some(frame) => {
                let (taken, rest) = input.split_at(frame.len.min(input.len()));
                *input = rest;
                Ok(Some((frame.kind, content(frame, || Bytes::copy_from_slice(taken)))))
            }
            None => {
                self.pending.extend_from_slice(input);
                *input = &[];
                Ok(None)
            }
        }
    }

    /// Goes on with what is pending.
    fn complete(&mut self, input: &mut &[u8]) -> Result<Option<(FrameKind, Bytes)>, XmlError> {
        // Whole frames may have been kept. Else this costs little, since the framer knows how far it has looked.
        if let Some(frame) = self.framer.next(&self.pending)? {
            let rest = self.pending.split_off(frame.len.min(self.pending.len()));
            let taken = mem::replace(&mut self.pending, rest);
            return Ok(Some((frame.kind, content(frame, || taken.into_boxed_slice().into()))));
        }
        let mut steps = STEPS.iter();
        while !input.is_empty() {
            let before = self.pending.len();
            let step = input.len().min(*steps.next().unwrap_or(&usize::MAX));
            self.pending.extend_from_slice(&input[..step]);
            let Some(frame) = self.framer.next(&self.pending)? else {
                *input = &input[step..];
                continue;
            };
            // What was pending held no whole frame, so that this one ends inside the bytes just added.
            *input = &input[frame.len.saturating_sub(before).min(step)..];
            let mut taken = mem::take(&mut self.pending);
            taken.truncate(frame.len);
            return Ok(Some((frame.kind, content(frame, || taken.into_boxed_slice().into()))));
        }
        Ok(None)
    }

    /// Keeps bytes that came while nothing may be read yet. Fails where that would be more than `limit`.
    pub(super) fn keep(&mut self, input: &mut &[u8], limit: usize) -> Result<(), XmlError> {
        if self.pending.len().saturating_add(input.len()) > limit {
            return Err(XmlError::Limit("too much was sent ahead"));
        }
        self.pending.extend_from_slice(input);
        *input = &[];
        Ok(())
    }

    /// Forgets everything and waits for a new header: nothing that came in the clear counts inside TLS
    /// (RFC 6120 §5.4.3.3).
    pub(super) fn discard(&mut self) {
        self.pending = Vec::new();
        self.framer.restart();
    }

    /// Waits for a new header behind what was read (after SASL).
    pub(super) fn restart(&mut self) {
        self.framer.restart();
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.framer.set_limit(limit);
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.pending.capacity()
    }

    /// Whether the unfinished frame is a start tag of the stream element. It has no end tag that would complete it, so
    /// the framer alone would wait for ever.
    pub(super) fn holds_header(&self) -> bool {
        const TAG: &[u8] = b"<stream:stream";
        self.pending.starts_with(TAG) && self.pending.contains(&b'>')
    }
}

fn content(frame: Frame, bytes: impl FnOnce() -> Bytes) -> Bytes {
    match frame.kind {
        FrameKind::Header | FrameKind::Element => bytes(),
        FrameKind::Whitespace | FrameKind::End => Bytes::new(),
    }
}
