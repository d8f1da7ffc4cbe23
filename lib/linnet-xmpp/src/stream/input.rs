//! Cuts what comes in into pieces and keeps what is at the end and not yet a whole one.

use super::{
    StreamCondition, StreamError,
    framing::{
        Framing,
        frames::{FrameError, Frames, Message, NORMAL, Sender},
    },
};
use crate::xml::{Frame, FrameKind, Framer, XmlError};
use bytes::Bytes;
use std::mem;

/// The input of one stream, in whichever framing.
#[derive(Debug)]
pub(super) enum Input {
    Document(Cut),
    Messages(Frames),
}

/// A piece of the input. Those that are always the same come without their bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A stream header.
    Header(Bytes),
    /// A first-level element.
    Element(Bytes),
    /// A message: a header, an element or an end, all alike.
    Message(Bytes),
    /// White space between elements.
    Whitespace,
    /// The stream's end tag.
    End,
    /// To be answered.
    Ping(Bytes),
    /// Shows only that the peer is there.
    Pong,
    /// The end of the connection under the stream.
    Close(Option<u16>),
}

/// Why input is refused: the stream's error, and the code with which a WebSocket is closed.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StreamError, pub(super) u16);

impl From<XmlError> for Refused {
    fn from(error: XmlError) -> Refused {
        Refused(error.into(), NORMAL)
    }
}

impl From<FrameError> for Refused {
    fn from(error: FrameError) -> Refused {
        let condition = match error {
            FrameError::TooLarge => StreamCondition::PolicyViolation,
            _ => StreamCondition::BadFormat,
        };
        Refused(StreamError::new(condition).text(error.to_string()), error.code())
    }
}

impl Input {
    /// `limit`: bytes of the largest element. `sender`: who sends what comes in.
    pub(super) fn new(limit: usize, framing: Framing, sender: Sender) -> Input {
        match framing {
            Framing::Document => Input::Document(Cut::new(limit)),
            Framing::Messages => Input::Messages(Frames::new(limit, sender)),
        }
    }

    pub(super) fn framing(&self) -> Framing {
        match self {
            Input::Document(_) => Framing::Document,
            Input::Messages(_) => Framing::Messages,
        }
    }

    /// The next piece of what is kept and the front of `input`, or `None` when all of `input` was taken.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Piece>, Refused> {
        Ok(match self {
            Input::Document(cut) => cut.next(input)?.map(|(kind, bytes)| match kind {
                FrameKind::Header => Piece::Header(bytes),
                FrameKind::Element => Piece::Element(bytes),
                FrameKind::Whitespace => Piece::Whitespace,
                FrameKind::End => Piece::End,
            }),
            Input::Messages(frames) => frames.next(input)?.map(|message| match message {
                Message::Text(bytes) => Piece::Message(bytes),
                Message::Ping(payload) => Piece::Ping(payload),
                Message::Pong => Piece::Pong,
                Message::Close(code) => Piece::Close(code),
            }),
        })
    }

    /// Keeps bytes that came while nothing may be read yet. Fails where that would be more than `limit`.
    pub(super) fn keep(&mut self, input: &mut &[u8], limit: usize) -> Result<(), XmlError> {
        let is_kept = match self {
            Input::Document(cut) => cut.keep(input, limit),
            Input::Messages(frames) => frames.keep(input, limit),
        };
        if is_kept { Ok(()) } else { Err(XmlError::Limit("too much was sent ahead")) }
    }

    /// Forgets everything and waits for a new header: nothing that came in the clear counts inside TLS
    /// (RFC 6120 §5.4.3.3).
    pub(super) fn discard(&mut self) {
        match self {
            Input::Document(cut) => cut.discard(),
            Input::Messages(frames) => frames.discard(),
        }
    }

    /// Waits for a new header behind what was read (after SASL).
    pub(super) fn restart(&mut self) {
        if let Input::Document(cut) = self {
            cut.restart();
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        match self {
            Input::Document(cut) => cut.set_limit(limit),
            Input::Messages(frames) => frames.set_limit(limit),
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        match self {
            Input::Document(cut) => cut.pending.capacity(),
            Input::Messages(frames) => frames.kept(),
        }
    }

    /// See [`Cut::holds_header`].
    pub(super) fn holds_header(&self) -> bool {
        matches!(self, Input::Document(cut) if cut.holds_header())
    }
}

/// How much more of the input is looked at, in turn, while a frame that began in an earlier read is not complete.
/// Small at first, so that little is copied twice where the frame ends soon.
const STEPS: [usize; 3] = [512, 4096, usize::MAX];

/// One document, cut where its first-level elements end.
#[derive(Debug)]
pub(super) struct Cut {
    framer: Framer,
    /// The beginning of a frame whose end has not come. Holds no allocation when there is none.
    pending: Vec<u8>,
}

impl Cut {
    pub(super) fn new(limit: usize) -> Cut {
        Cut { framer: Framer::new(limit), pending: Vec::new() }
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

    pub(super) fn keep(&mut self, input: &mut &[u8], limit: usize) -> bool {
        if self.pending.len().saturating_add(input.len()) > limit {
            return false;
        }
        self.pending.extend_from_slice(input);
        *input = &[];
        true
    }

    pub(super) fn restart(&mut self) {
        self.framer.restart();
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.framer.set_limit(limit);
    }

    pub(super) fn discard(&mut self) {
        self.pending = Vec::new();
        self.framer.restart();
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
