//! Finds where the next first-level element ends, without building anything. What it can see while looking it refuses
//! at once, because the peer may never send the end: what RFC 6120 §11.1 forbids, tags that do not match, and frames
//! over the limits.

use super::{
    XmlError,
    chars::{is_space, may_start_name, skip_space},
    escape::CDATA,
    limits,
};
use memchr::{memchr, memchr2, memmem};
use smallvec::SmallVec;

/// What is found at the front of the unread bytes; the caller consumes `len` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Its length in bytes.
    pub len: usize,
}

/// The kinds of frames in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// White space between elements (a keepalive, RFC 6120 §4.6.1).
    Whitespace,
    /// The XML declaration with the stream's start tag, or that tag alone.
    Header,
    /// A complete first-level element.
    Element,
    /// The stream's end tag.
    End,
}

/// Finds frames. Holds no bytes: it is given all unread ones and remembers how far it has looked.
///
/// ```
/// use linnet_xmpp::xml::{Frame, FrameKind, Framer};
///
/// let mut framer = Framer::new(10_000);
/// let header = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// assert_eq!(framer.next(header), Ok(Some(Frame { kind: FrameKind::Header, len: header.len() })));
/// assert_eq!(framer.next(b"<presence"), Ok(None));
/// assert_eq!(framer.next(b"<presence/><iq"), Ok(Some(Frame { kind: FrameKind::Element, len: 11 })));
/// ```
#[derive(Debug)]
pub struct Framer {
    limit: usize,
    place: Place,
    /// How far the unread bytes were looked at; everything before it was taken into account.
    seen: usize,
    /// What stands where `seen` points.
    inside: Inside,
    /// Inside a start tag: the quote that ends the attribute value, or 0 outside a value.
    quote: u8,
    /// Where the names of the open elements start in the unread bytes.
    open: SmallVec<[u32; 8]>,
    /// The name of the stream's start tag; none for the usual one.
    root: Option<Box<[u8]>>,
}

/// Where in the stream the next frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the very start of the connection.
    Start,
    /// After white space at the start: no XML declaration may come any more (XML 1.0 §2.8).
    Header,
    /// Where a new stream header is due. White space here still belongs to the stream before.
    Restart,
    /// Inside the stream.
    Stream,
}

/// What the search was in the midst of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Text, or the start of some markup that is too short to tell.
    Content,
    /// A start tag, behind the first byte of its name.
    StartTag,
    /// An end tag, behind its name.
    EndTag,
    /// A CDATA section.
    Section,
}

/// The name of the stream's start tag, as nearly everybody writes it.
const USUAL_ROOT: &[u8] = b"stream:stream";

const MISMATCH: XmlError = XmlError::NotWellFormed("an end tag that does not match");
const TOO_LARGE: XmlError = XmlError::Limit("too large");

impl Framer {
    /// A framer that waits for a stream header. `limit`: bytes of the largest frame.
    pub fn new(limit: usize) -> Framer {
        Framer {
            limit: limit.min(limits::DOCUMENT),
            place: Place::Start,
            seen: 0,
            inside: Inside::Content,
            quote: 0,
            open: SmallVec::new(),
            root: None,
        }
    }

    /// The next frame of `unread` (all bytes not yet consumed), or `None` until more have come. After an error the
    /// stream is over.
    pub fn next(&mut self, unread: &[u8]) -> Result<Option<Frame>, XmlError> {
        let Some(&first) = unread.get(self.seen) else { return Ok(None) };
        if self.seen == 0 && is_space(first) {
            if self.place == Place::Start {
                self.place = Place::Header;
            }
            return Ok(Some(Frame { kind: FrameKind::Whitespace, len: skip_space(unread, 0) }));
        }
        let found = match self.place {
            Place::Stream => self.element(unread)?,
            _ => self.header(unread)?,
        };
        let Some(frame) = found else {
            // One more byte at least is to come.
            return if unread.len() >= self.limit { Err(TOO_LARGE) } else { Ok(None) };
        };
        if frame.len > self.limit && frame.kind != FrameKind::Whitespace {
            return Err(TOO_LARGE);
        }
        self.forget();
        Ok(Some(frame))
    }

    /// Waits for a new stream header (after TLS or SASL).
    pub fn restart(&mut self) {
        self.forget();
        self.root = None;
        self.place = Place::Restart;
    }

    /// Sets the largest frame, in bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(limits::DOCUMENT);
    }

    fn forget(&mut self) {
        self.seen = 0;
        self.inside = Inside::Content;
        self.quote = 0;
        if self.open.spilled() {
            self.open = SmallVec::new();
        } else {
            self.open.clear();
        }
    }

    /// A stream header at the front.
    fn header(&mut self, unread: &[u8]) -> Result<Option<Frame>, XmlError> {
        // Before the first tag nothing is remembered: the declaration is short, and is looked at again.
        if self.inside != Inside::StartTag {
            let Some(tag) = header_tag(unread, self.place)? else { return Ok(None) };
            match unread.get(tag + 1) {
                None => return Ok(None),
                Some(&byte) if may_start_name(byte) => {}
                Some(b'?' | b'!') => return Err(forbidden(&unread[tag..])),
                Some(_) => return Err(XmlError::NotWellFormed("no stream header")),
            }
            self.open.clear();
            self.open.push(narrow(tag + 1));
            self.seen = tag + 1;
            self.inside = Inside::StartTag;
        }
        let Some(end) = self.rest_of_tag(unread)? else { return Ok(None) };
        let name = name_at(unread, self.open.first().map_or(0, |&at| at as usize))?;
        if unread.get(end.wrapping_sub(2)) == Some(&b'/') {
            return Err(XmlError::NotWellFormed("a stream header that is an empty element"));
        }
        self.root = (name != USUAL_ROOT).then(|| name.into());
        self.place = Place::Stream;
        Ok(Some(Frame { kind: FrameKind::Header, len: end }))
    }

    /// A first-level element or the end tag of the stream at the front.
    fn element(&mut self, unread: &[u8]) -> Result<Option<Frame>, XmlError> {
        // Never looks further than the limit: what is behind it may be the next stanzas, or an attack.
        let unread = &unread[..unread.len().min(self.limit.saturating_add(1))];
        loop {
            match self.inside {
                Inside::Content => {
                    if !self.markup(unread)? {
                        return Ok(None);
                    }
                }
                Inside::StartTag => {
                    let Some(end) = self.rest_of_tag(unread)? else { return Ok(None) };
                    self.seen = end;
                    if unread.get(end.wrapping_sub(2)) == Some(&b'/') {
                        self.open.pop();
                    }
                    if self.open.is_empty() {
                        return Ok(Some(Frame { kind: FrameKind::Element, len: end }));
                    }
                }
                Inside::EndTag => {
                    let end = skip_space(unread, self.seen);
                    self.seen = end;
                    match unread.get(end) {
                        None => return Ok(None),
                        Some(b'>') => {}
                        Some(_) => return Err(MISMATCH),
                    }
                    self.seen += 1;
                    self.inside = Inside::Content;
                    let closed = self.open.pop();
                    if self.open.is_empty() {
                        let kind = if closed.is_some() { FrameKind::Element } else { FrameKind::End };
                        return Ok(Some(Frame { kind, len: self.seen }));
                    }
                }
                Inside::Section => {
                    let Some(end) = memmem::find(&unread[self.seen..], b"]]>") else {
                        // The last two bytes may be the start of the section's end.
                        self.seen = self.seen.max(unread.len().saturating_sub(2));
                        return Ok(None);
                    };
                    self.seen += end + 3;
                    self.inside = Inside::Content;
                }
            }
        }
    }

    /// Goes on to the next markup and into it. False: more bytes are needed.
    fn markup(&mut self, unread: &[u8]) -> Result<bool, XmlError> {
        let here = unread.get(self.seen..).unwrap_or(&[]);
        match memchr(b'<', here) {
            Some(0) => {}
            _ if self.open.is_empty() => return Err(XmlError::NotWellFormed("text between stanzas")),
            found => self.seen += found.unwrap_or(here.len()),
        }
        let here = unread.get(self.seen..).unwrap_or(&[]);
        match here {
            [] | [_] => return Ok(false),
            [_, b'/', name @ ..] => {
                let expected = match self.open.last() {
                    Some(&start) => name_at(unread, start as usize)?,
                    None => self.root.as_deref().unwrap_or(USUAL_ROOT),
                };
                if !name.starts_with(expected) {
                    return if expected.starts_with(name) { Ok(false) } else { Err(MISMATCH) };
                }
                self.seen += 2 + expected.len();
                self.inside = Inside::EndTag;
            }
            [_, b'!', ..] => {
                if !here.starts_with(CDATA) {
                    return if CDATA.starts_with(here) { Ok(false) } else { Err(forbidden(here)) };
                }
                if self.open.is_empty() {
                    return Err(XmlError::NotWellFormed("text between stanzas"));
                }
                self.seen += CDATA.len();
                self.inside = Inside::Section;
            }
            [_, byte, ..] if may_start_name(*byte) => {
                if self.open.len() == limits::DEPTH {
                    return Err(XmlError::Limit("too deep"));
                }
                self.seen += 1;
                self.open.push(narrow(self.seen));
                self.inside = Inside::StartTag;
            }
            [_, b'?', ..] => return Err(forbidden(here)),
            _ => return Err(XmlError::NotWellFormed("a name was expected")),
        }
        Ok(true)
    }

    /// Goes on to the end of a start tag; gives the position behind its `>`.
    fn rest_of_tag(&mut self, unread: &[u8]) -> Result<Option<usize>, XmlError> {
        let mut at = self.seen;
        loop {
            if self.quote == 0 {
                while at < unread.len() && !MARKUP[unread[at] as usize] {
                    at += 1;
                }
                match unread.get(at) {
                    None => break,
                    Some(b'>') => {
                        self.inside = Inside::Content;
                        return Ok(Some(at + 1));
                    }
                    Some(b'<') => return Err(XmlError::NotWellFormed("a tag inside a tag")),
                    Some(&quote) => self.quote = quote,
                }
                at += 1;
            }
            match memchr2(self.quote, b'<', &unread[at..]) {
                None => {
                    at = unread.len();
                    break;
                }
                Some(offset) if unread.get(at + offset) == Some(&b'<') => {
                    return Err(XmlError::NotWellFormed("`<` in an attribute value"));
                }
                Some(offset) => {
                    self.quote = 0;
                    at += offset + 1;
                }
            }
        }
        self.seen = at;
        Ok(None)
    }
}

/// Ends the search inside a start tag, outside attribute values.
const MARKUP: [bool; 256] = {
    let mut markup = [false; 256];
    markup[b'<' as usize] = true;
    markup[b'>' as usize] = true;
    markup[b'"' as usize] = true;
    markup[b'\'' as usize] = true;
    markup
};

/// Offsets stay below the limit of a document.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The name in a start tag that was seen to its end. Looks no further than names may be long, because it is called
/// again as long as an end tag is not complete.
fn name_at(unread: &[u8], start: usize) -> Result<&[u8], XmlError> {
    let name = unread.get(start..).unwrap_or(&[]);
    let name = &name[..name.len().min(limits::NAME + 1)];
    let end = name.iter().position(|&byte| is_space(byte) || byte == b'/' || byte == b'>').unwrap_or(name.len());
    if end > limits::NAME { Err(XmlError::Limit("a name is too long")) } else { Ok(&name[..end]) }
}

/// Where the stream's start tag starts: behind an XML declaration, if there is one.
fn header_tag(unread: &[u8], place: Place) -> Result<Option<usize>, XmlError> {
    const DECLARATION: &[u8] = b"<?xml";
    match unread {
        [0xFE | 0xFF, ..] | [b'<', 0, ..] | [0, ..] => return Err(XmlError::Encoding("UTF-16 or UTF-32")),
        // RFC 6120 §11.6: U+FEFF at the start is a character, not a byte order mark, thus text.
        [0xEF, ..] => return Err(XmlError::Encoding("a byte order mark")),
        [b'<', ..] => {}
        _ => return Err(XmlError::NotWellFormed("text before the stream header")),
    }
    if unread.len() < DECLARATION.len() + 1 && DECLARATION.starts_with(unread) {
        return Ok(None);
    }
    if !unread.starts_with(DECLARATION) || !is_space(unread[DECLARATION.len()]) {
        return Ok(Some(0));
    }
    if place == Place::Header {
        return Err(XmlError::NotWellFormed("an XML declaration that is not at the start"));
    }
    // `>` stands nowhere else in a declaration, and ten times the usual length is enough.
    const LONGEST: usize = 400;
    let Some(end) = memmem::find(&unread[..unread.len().min(LONGEST)], b"?>") else {
        return if unread.len() < LONGEST { Ok(None) } else { Err(XmlError::Limit("an XML declaration without end")) };
    };
    let tag = skip_space(unread, end + 2);
    match unread.get(tag) {
        None => Ok(None),
        Some(b'<') => Ok(Some(tag)),
        Some(_) => Err(XmlError::NotWellFormed("text before the stream header")),
    }
}

/// What to say of `<?` and `<!` that are not allowed.
fn forbidden(here: &[u8]) -> XmlError {
    match here {
        [b'<', b'?', ..] => XmlError::Restricted("a processing instruction"),
        [b'<', b'!', b'-', ..] => XmlError::Restricted("a comment"),
        _ => XmlError::Restricted("a document type declaration"),
    }
}
