//! A session of a server under test, driven by hand: what the edge does between socket and kernel, step by step.

use kernel::{
    Kernel, Session,
    mailbox::{Item, Next},
};
use linnet_xmpp::{
    Stanza, ns,
    stream::{Control, Signal, StreamError},
    xml::{Document, Scope},
};
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// A session with its kernel.
#[derive(Debug)]
pub struct Peer {
    kernel: Arc<Kernel>,
    /// The session.
    pub session: Arc<Session>,
    /// The number of its connection.
    pub connection: u32,
}

/// Reads a stanza as it stands in a script or test.
///
/// # Panics
/// If it is not well-formed, or no stanza.
pub fn stanza(xml: &str) -> Result<Stanza, Box<linnet_xmpp::stanza::Rejected>> {
    let document = Document::parse(xml.to_owned().into(), &Scope::new(ns::CLIENT));
    let document = document.unwrap_or_else(|error| panic!("{error}: {xml}"));
    Stanza::read(document).unwrap_or_else(|| panic!("not a stanza: {xml}"))
}

impl Peer {
    /// Of a session that somebody has made.
    pub fn new(kernel: Arc<Kernel>, session: Arc<Session>, connection: u32) -> Peer {
        Peer { kernel, session, connection }
    }

    /// Hands a stanza to the kernel, as if it had come from the socket.
    pub async fn send(&self, xml: &str) {
        if self.session.mailbox.is_closed() {
            return;
        }
        if let Err(back) = self.kernel.try_handle(&self.session, self.connection, stanza(xml)) {
            self.kernel.handle(&self.session, self.connection, Ok(*back)).await;
        }
    }

    /// Takes the next item from the mailbox without writing it. `None`: there is none now. `Err`: the session was ended.
    pub fn take(&self) -> Option<Result<Item, Option<StreamError>>> {
        Some(self.next()?.map(|(Next::Taken(item) | Next::Kept(item))| item))
    }

    fn next(&self) -> Option<Result<Next, Option<StreamError>>> {
        match self.session.mailbox.poll_next(self.connection, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    /// The item as it goes onto the wire.
    pub fn bytes(&self, item: &Item) -> String {
        let (mut head, mut out) = (Vec::new(), Vec::new());
        self.kernel.write_head(item, &self.session.address, &mut head);
        item.stanza.write(None, item.to.as_ref(), &head, &mut out);
        String::from_utf8(out).expect("stanzas are UTF-8")
    }

    /// Says that the items' bytes were accepted by the socket.
    pub fn wrote(&self, items: &[Item]) {
        let rows: Vec<u64> = items.iter().map(|item| item.row).filter(|row| *row != 0).collect();
        self.kernel.written(&self.session, &rows);
    }

    /// Takes and writes the next item. `None`: there is none now. `Err`: the session was ended.
    pub fn read(&self) -> Option<Result<String, Option<StreamError>>> {
        Some(self.next()?.map(|next| self.write(&next)))
    }

    /// Writes an item: its bytes. What the mailbox keeps has arrived when the client says so.
    pub fn write(&self, next: &Next) -> String {
        if let Next::Taken(item) = next {
            self.wrote(std::slice::from_ref(item));
        }
        let (Next::Taken(item) | Next::Kept(item)) = next;
        self.bytes(item)
    }

    /// Takes and writes everything that is there now.
    pub fn read_all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.read().and_then(Result::ok)).collect()
    }

    /// Says something about the session between stanzas.
    pub fn control(&self, control: Control) -> Result<Option<Signal>, StreamError> {
        self.kernel.control(&self.session, self.connection, control)
    }

    /// The connection breaks.
    pub fn cut(&self) {
        self.kernel.part(&self.session, self.connection, false, Vec::new());
    }

    /// Ends the session; `unwritten` was taken and did not reach the socket.
    pub fn end(&self, unwritten: Vec<Item>) {
        self.kernel.end(&self.session, unwritten);
    }
}
