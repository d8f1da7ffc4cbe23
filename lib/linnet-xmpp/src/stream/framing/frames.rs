//! The frames of a WebSocket (RFC 6455 §5), for text messages only: read without keeping more than one message, and
//! written in place.

use bytes::Bytes;
use std::{fmt, mem};

/// A message, or a control frame between messages and inside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text. That it is UTF-8 is for its reader to find out.
    Text(Bytes),
    /// To be answered with [`pong`].
    Ping(Bytes),
    /// The peer is there.
    Pong,
    /// The peer closes; with its code, if it gave one.
    Close(Option<u16>),
}

/// What a peer did wrong. [`FrameError::code`] is how the connection is closed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// RFC 6455 forbids it.
    Protocol(&'static str),
    /// A binary message (RFC 7395 §3.2).
    Binary,
    /// A message over the limit, all its fragments counted.
    TooLarge,
}

impl FrameError {
    /// The status code (RFC 6455 §7.4.1).
    pub fn code(self) -> u16 {
        match self {
            FrameError::Protocol(_) => PROTOCOL_ERROR,
            FrameError::Binary => 1003,
            FrameError::TooLarge => 1009,
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameError::Protocol(what) => what,
            FrameError::Binary => "a binary message",
            FrameError::TooLarge => "a message that is too large",
        })
    }
}

impl std::error::Error for FrameError {}

/// Closed in order (RFC 6455 §7.4.1).
pub const NORMAL: u16 = 1000;
/// Frames that the protocol forbids.
pub const PROTOCOL_ERROR: u16 = 1002;
/// Text that is not UTF-8.
pub const NOT_UTF8: u16 = 1007;

/// Who sends the frames: those of a client are masked, those of a server are not (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client.
    Client,
    /// A server.
    Server,
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The largest payload of a control frame (RFC 6455 §5.5).
const CONTROL: usize = 125;

/// Reads frames. Empty between messages, so that an idle connection keeps nothing.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    sender: Sender,
    /// A message has begun whose last fragment has not.
    is_fragmented: bool,
    /// The frame whose payload is coming.
    frame: Option<Frame>,
    /// The payload of the message so far.
    message: Vec<u8>,
    /// Bytes that came and could not be read yet: a part of a head or of a control frame, or what was kept.
    wire: Vec<u8>,
    /// How many of them were read.
    read: usize,
}

/// A data frame whose payload is not complete.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: usize,
    /// Turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
    is_last: bool,
}

struct Head {
    opcode: u8,
    is_last: bool,
    mask: [u8; 4],
    /// Of the head.
    size: usize,
    payload: u64,
}

impl Frames {
    /// For frames of this sender; `limit`: bytes of the largest message.
    pub fn new(limit: usize, sender: Sender) -> Frames {
        Frames { limit, sender, is_fragmented: false, frame: None, message: Vec::new(), wire: Vec::new(), read: 0 }
    }

    /// Sets the largest message, in bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The next message from the front of `input`, or `None` when all of it was taken. After an error nothing more is
    /// read.
    ///
    /// # Errors
    /// [`FrameError`]: as soon as a head shows it, however long the payload is to be.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FrameError> {
        if self.wire.is_empty() {
            let message = self.decode(input)?;
            if message.is_none() {
                self.wire.extend_from_slice(input);
                *input = &[];
            }
            return Ok(message);
        }
        if !input.is_empty() {
            self.wire.drain(..mem::take(&mut self.read));
            self.wire.extend_from_slice(input);
            *input = &[];
        }
        let wire = mem::take(&mut self.wire);
        let mut rest = wire.get(self.read..).unwrap_or_default();
        let message = self.decode(&mut rest)?;
        self.read = wire.len() - rest.len();
        if self.read < wire.len() {
            self.wire = wire;
        } else {
            self.read = 0;
        }
        Ok(message)
    }

    /// Keeps bytes that came while nothing may be read. False: together that would be more than `limit`.
    pub fn keep(&mut self, input: &mut &[u8], limit: usize) -> bool {
        if (self.wire.len() - self.read).saturating_add(input.len()) > limit {
            return false;
        }
        self.wire.extend_from_slice(input);
        *input = &[];
        true
    }

    /// Forgets everything.
    pub fn discard(&mut self) {
        *self = Frames::new(self.limit, self.sender);
    }

    /// Bytes on the heap.
    pub fn kept(&self) -> usize {
        self.message.capacity() + self.wire.capacity()
    }

    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FrameError> {
        loop {
            if let Some(frame) = self.frame {
                if !self.payload(frame, input) {
                    return Ok(None);
                }
                if frame.is_last {
                    self.is_fragmented = false;
                    return Ok(Some(Message::Text(mem::take(&mut self.message).into_boxed_slice().into())));
                }
                continue;
            }
            let Some(head) = self.head(input)? else { return Ok(None) };
            if head.opcode >= CLOSE {
                // At most `CONTROL`, as `head` has seen.
                let payload = usize::try_from(head.payload).unwrap_or(CONTROL);
                let Some(frame) = input.get(..head.size + payload) else { return Ok(None) };
                let mut content = frame.get(head.size..).unwrap_or_default().to_vec();
                unmask(&mut content, head.mask);
                *input = input.get(frame.len()..).unwrap_or_default();
                return control(head.opcode, content).map(Some);
            }
            self.data(&head)?;
            *input = input.get(head.size..).unwrap_or_default();
        }
    }

    /// Takes what there is of a payload. True: that was all.
    fn payload(&mut self, mut frame: Frame, input: &mut &[u8]) -> bool {
        let (payload, rest) = input.split_at(frame.left.min(input.len()));
        *input = rest;
        if self.message.is_empty() {
            // One allocation of the right size, where the frame is all of a message and all there.
            self.message = Vec::with_capacity(payload.len());
        }
        let start = self.message.len();
        self.message.extend_from_slice(payload);
        unmask(self.message.get_mut(start..).unwrap_or_default(), frame.mask);
        frame.left -= payload.len();
        frame.mask.rotate_left(payload.len() % 4);
        self.frame = (frame.left > 0).then_some(frame);
        self.frame.is_none()
    }

    /// The head at the front, if it is all there.
    fn head(&self, input: &[u8]) -> Result<Option<Head>, FrameError> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let (opcode, is_last) = (first & 0x0f, first & LAST != 0);
        if first & 0x70 != 0 {
            return Err(FrameError::Protocol("reserved bits are set"));
        }
        if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
            return Err(FrameError::Protocol("a frame of an unknown kind"));
        }
        let is_masked = second & MASKED != 0;
        if is_masked != (self.sender == Sender::Client) {
            return Err(FrameError::Protocol("a client's frames are masked, a server's are not"));
        }
        let short = second & !MASKED;
        if opcode >= CLOSE && (!is_last || usize::from(short) > CONTROL) {
            return Err(FrameError::Protocol("a control frame that is fragmented or long"));
        }
        let (extended, least) = match short {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let mask_size = if is_masked { 4 } else { 0 };
        if rest.len() < extended + mask_size {
            return Ok(None);
        }
        let (length, rest) = rest.split_at(extended);
        let payload = match extended {
            0 => u64::from(short),
            _ => length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if payload >> 63 != 0 || payload < least {
            return Err(FrameError::Protocol("a length that is not written as it has to be"));
        }
        let mask = rest.first_chunk().copied().filter(|_| is_masked).unwrap_or_default();
        Ok(Some(Head { opcode, is_last, mask, size: 2 + extended + mask_size, payload }))
    }

    /// Begins a data frame.
    fn data(&mut self, head: &Head) -> Result<(), FrameError> {
        match head.opcode {
            BINARY => return Err(FrameError::Binary),
            CONTINUATION if !self.is_fragmented => return Err(FrameError::Protocol("a fragment without a beginning")),
            TEXT if self.is_fragmented => return Err(FrameError::Protocol("a message inside a message")),
            _ => {}
        }
        let left = usize::try_from(head.payload).unwrap_or(usize::MAX);
        if left > self.limit.saturating_sub(self.message.len()) {
            return Err(FrameError::TooLarge);
        }
        self.is_fragmented = true;
        self.frame = Some(Frame { left, mask: head.mask, is_last: head.is_last });
        Ok(())
    }
}

/// A control frame's meaning.
fn control(opcode: u8, content: Vec<u8>) -> Result<Message, FrameError> {
    Ok(match (opcode, &content[..]) {
        (PING, _) => Message::Ping(content.into()),
        (PONG, _) => Message::Pong,
        (_, []) => Message::Close(None),
        (_, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            // RFC 6455 §7.4: what may be said at all, and those of which nobody may say them.
            let may_be_said = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            if !may_be_said || std::str::from_utf8(reason).is_err() {
                return Err(FrameError::Protocol("a bad reason to close"));
            }
            Message::Close(Some(code))
        }
        _ => return Err(FrameError::Protocol("half a reason to close")),
    })
}

/// Masks, or takes the mask away, which is the same (RFC 6455 §5.3).
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        return;
    }
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (pieces, rest) = payload.as_chunks_mut::<8>();
    for piece in pieces {
        *piece = (u64::from_ne_bytes(*piece) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Room that `begin` leaves for a head; most messages have one of this size.
const ROOM: usize = 4;

/// Before a text message of a server is appended; what this gives is for [`end`].
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; ROOM]);
    out.len() - ROOM
}

/// After it was appended: writes its head (RFC 6455 §5.2), which has to be the shortest possible.
pub fn end(begun: usize, out: &mut Vec<u8>) {
    let payload = out.len().saturating_sub(begun + ROOM);
    let [.., high, low] = payload.to_be_bytes();
    match (payload, out.get_mut(begun..)) {
        (0..126, Some([first, second, _, _, ..])) => {
            (*first, *second) = (LAST | TEXT, low);
            out.copy_within(begun + ROOM.., begun + 2);
            out.truncate(out.len() - 2);
        }
        (126..0x1_0000, Some([first, second, third, fourth, ..])) => {
            (*first, *second, *third, *fourth) = (LAST | TEXT, 126, high, low);
        }
        _ => {
            let mut head = Vec::with_capacity(10);
            write_head(TEXT, payload, None, &mut head);
            out.splice(begun..begun + ROOM, head);
        }
    }
}

/// Appends a text message; `mask`: of a client, random and new for each frame.
pub fn text(payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write(TEXT, payload, mask, out);
}

/// Appends a ping (RFC 6455 §5.5.2).
pub fn ping(mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write(PING, &[], mask, out);
}

/// Appends the answer to a ping (RFC 6455 §5.5.3).
pub fn pong(payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write(PONG, payload.get(..CONTROL).unwrap_or(payload), mask, out);
}

/// Appends the end (RFC 6455 §5.5.1).
pub fn close(code: Option<u16>, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let code = code.map(u16::to_be_bytes);
    write(CLOSE, code.as_ref().map_or(&[], |code| &code[..]), mask, out);
}

fn write(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write_head(opcode, payload.len(), mask, out);
    let start = out.len();
    out.extend_from_slice(payload);
    unmask(out.get_mut(start..).unwrap_or_default(), mask.unwrap_or_default());
}

fn write_head(opcode: u8, payload: usize, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    out.push(LAST | opcode);
    let masked = if mask.is_some() { MASKED } else { 0 };
    let bytes = (payload as u64).to_be_bytes();
    match payload {
        0..126 => out.push(masked | bytes[7]),
        126..0x1_0000 => out.extend_from_slice(&[masked | 126, bytes[6], bytes[7]]),
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&bytes);
        }
    }
    out.extend(mask.into_iter().flatten());
}

#[cfg(test)]
mod tests;
