//! What a server's stream writes, in its framing, and how it ends.

use super::{Accept, Output, Wait};
use crate::stream::{
    END, StreamError,
    framing::{
        self, Framing,
        frames::{self, NORMAL},
    },
    header::Reply,
    input::Refused,
    steps,
};
use bytes::Bytes;

/// The language of all texts that we send (RFC 6120 §4.7.4).
const LANG: &str = "en";

impl Accept {
    /// Queues bytes, in one piece with those that are queued last: they fit into one packet.
    pub(super) fn write(&mut self, bytes: Bytes) {
        match self.queue.as_mut().and_then(|queue| queue.back_mut()) {
            Some(Output::Write(last)) => *last = [&**last, &bytes].concat().into(),
            _ => self.push(Output::Write(bytes)),
        }
    }

    /// Queues an element.
    pub(super) fn write_element(&mut self, element: Bytes) {
        match self.framing() {
            Framing::Document => self.write(element),
            framing => {
                let mut out = Vec::with_capacity(element.len() + 64);
                framing.element(&element, &mut out);
                self.write(out.into());
            }
        }
    }

    /// Ends the stream with an error. The header goes before it in any case (RFC 6120 §4.9.1.2).
    pub(super) fn fail(&mut self, error: StreamError) {
        self.refuse(Refused(error, NORMAL));
    }

    pub(super) fn refuse(&mut self, Refused(error, code): Refused) {
        if self.wait != Wait::Tls && self.wait != Wait::Closed {
            if !self.open {
                let domain = self.negotiation.as_ref().map(|n| n.login.domain.clone()).unwrap_or_default();
                self.reply(&domain, None, true);
            }
            self.write_element(error.to_bytes());
        }
        self.finish(Some(error), code);
    }

    /// Writes the end tag if our stream is open, and nothing after it. `code`: with which a WebSocket is closed.
    pub(super) fn finish(&mut self, error: Option<StreamError>, code: u16) {
        if self.wait == Wait::Closed {
            return;
        }
        if self.wait != Wait::Tls {
            match self.framing() {
                Framing::Document if self.open => self.write(Bytes::from_static(END)),
                Framing::Document => {}
                Framing::Messages => self.close_messages(None, code),
            }
        }
        self.over(Output::Closed(error));
    }

    /// Writes the end of a stream of messages, if it is open, and that of the connection.
    pub(super) fn close_messages(&mut self, elsewhere: Option<&str>, code: u16) {
        let mut out = Vec::new();
        if self.open || elsewhere.is_some() {
            let begun = frames::begin(&mut out);
            framing::write_close(elsewhere, &mut out);
            frames::end(begun, &mut out);
        }
        frames::close(Some(code), None, &mut out);
        self.write(out.into());
    }

    pub(super) fn over(&mut self, output: Output) {
        self.push(output);
        self.wait = Wait::Closed;
        self.open = false;
        self.negotiation = None;
        self.input.discard();
    }

    /// Writes our header, with a fresh id (RFC 6120 §4.7.3).
    pub(super) fn reply(&mut self, from: &str, to: Option<&str>, version: bool) {
        let mut id = [0; steps::NONCE];
        (self.config.random)(&mut id);
        let id = steps::printable(&id);
        let mut out = Vec::with_capacity(256);
        let reply = Reply { from: Some(from), to, id: Some(&id), lang: Some(LANG), version };
        match self.framing() {
            Framing::Document => reply.write(&mut out),
            Framing::Messages => {
                let begun = frames::begin(&mut out);
                reply.write_open(&mut out);
                frames::end(begun, &mut out);
            }
        }
        self.write(out.into());
        self.open = true;
    }

    /// Answers a ping of the connection's (RFC 6455 §5.5.2).
    pub(super) fn pong(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        frames::pong(payload, None, &mut out);
        self.write(out.into());
    }

    /// The peer has closed the connection: it gets its code back (RFC 6455 §5.5.1).
    pub(super) fn gone(&mut self, code: Option<u16>) {
        let mut out = Vec::new();
        frames::close(code, None, &mut out);
        self.write(out.into());
        self.over(Output::Gone);
    }
}
