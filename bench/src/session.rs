//! A logged-in session: STARTTLS, SCRAM and resource binding (RFC 6120 §5 to §7), and registration (XEP-0077).

use std::io;
use std::net::SocketAddr;

use memchr::memmem;

use crate::scram::{Exchange, Mechanism, Salted};
use crate::wire::Wire;

/// Where and how sessions of a run log in.
pub(crate) struct Target {
    /// The server's address for client connections.
    pub(crate) address: SocketAddr,
    /// The same for those that will not use TLS.
    pub(crate) plain_address: SocketAddr,
    /// The domain served.
    pub(crate) domain: String,
    /// The password of every account.
    pub(crate) password: String,
    /// The hash used in logins.
    pub(crate) mechanism: Mechanism,
    /// Salted passwords known so far.
    pub(crate) salted: Salted,
}

impl Target {
    /// Logs `user` in, with STARTTLS if `tls`, and binds a resource. The session is silent until it sends presence.
    pub(crate) async fn login(&self, user: &str, tls: bool) -> io::Result<Wire> {
        let mut wire = self.open(tls).await?;
        self.authenticate(&mut wire, user).await?;
        wire.send(b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>").await?;
        until(&mut wire, "binding", b"<jid>").await?;
        Ok(wire)
    }

    /// Logs `user` in and waits until the server has reflected its first presence.
    pub(crate) async fn online(&self, user: &str, tls: bool) -> io::Result<Wire> {
        let mut wire = self.login(user, tls).await?;
        wire.send(b"<presence/>").await?;
        until(&mut wire, "own presence", b"<presence").await?;
        Ok(wire)
    }

    /// Creates the account `user`; one that exists already is no error.
    pub(crate) async fn register(&self, user: &str) -> io::Result<()> {
        let mut wire = self.open(true).await?;
        let request = format!(
            "<iq type='set' id='sign-up' to='{}'><query xmlns='jabber:iq:register'><username>{user}</username>\
             <password>{}</password></query></iq>",
            self.domain, self.password
        );
        wire.send(request.as_bytes()).await?;
        let answer = wire.item().await?;
        if is_error(answer) && !has(answer, b"<conflict") {
            return Err(refused("registration", answer));
        }
        wire.send(b"</stream:stream>").await
    }

    /// Connects and brings the stream to where features other than STARTTLS are offered.
    pub(crate) async fn open(&self, tls: bool) -> io::Result<Wire> {
        let mut wire = self.connect(tls).await?;
        self.header(&mut wire).await?;
        Ok(wire)
    }

    /// Connects, with TLS if wanted; what comes next is a stream header.
    pub(crate) async fn connect(&self, tls: bool) -> io::Result<Wire> {
        let mut wire = Wire::connect(if tls { self.address } else { self.plain_address }).await?;
        if tls {
            self.header(&mut wire).await?;
            wire.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
            expect(wire.item().await?, "STARTTLS", b"<proceed")?;
            wire.start_tls(&self.domain).await?;
        }
        Ok(wire)
    }

    /// What opens a stream.
    pub(crate) fn header_bytes(&self) -> String {
        format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            self.domain
        )
    }

    /// Opens a stream and reads the server's header and features.
    async fn header(&self, wire: &mut Wire) -> io::Result<()> {
        wire.send(self.header_bytes().as_bytes()).await?;
        expect(wire.item().await?, "stream header", b"<stream:stream")?;
        expect(wire.item().await?, "stream features", b"features")
    }

    async fn authenticate(&self, wire: &mut Wire, user: &str) -> io::Result<()> {
        let mut exchange = Exchange::new(self.mechanism, user)?;
        let (name, first) = (self.mechanism.name(), exchange.first());
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{name}'>{first}</auth>");
        wire.send(auth.as_bytes()).await?;
        let challenge = wire.item().await?;
        expect(challenge, "login", b"<challenge")?;
        let answer = exchange.answer(text(challenge), &self.password, &self.salted);
        let answer = answer.ok_or_else(|| refused("SCRAM challenge", challenge))?;
        let response = format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>");
        wire.send(response.as_bytes()).await?;
        let outcome = wire.item().await?;
        expect(outcome, "login", b"<success")?;
        if !exchange.verify(text(outcome)) {
            return Err(refused("server signature", outcome));
        }
        wire.restart();
        self.header(wire).await
    }
}

/// Reads items until one holds `sign`; a stream or stanza error on the way is an error.
pub(crate) async fn until(wire: &mut Wire, what: &str, sign: &[u8]) -> io::Result<()> {
    loop {
        let item = wire.item().await?;
        if has(item, sign) {
            return Ok(());
        }
        if is_error(item) {
            return Err(refused(what, item));
        }
    }
}

/// Whether `item` holds `sign`.
pub(crate) fn has(item: &[u8], sign: &[u8]) -> bool {
    memmem::find(item, sign).is_some()
}

/// Whether `item` is a stream error or an error stanza.
pub(crate) fn is_error(item: &[u8]) -> bool {
    has(item, b"<stream:error") || has(item, b"type='error'") || has(item, b"type=\"error\"")
}

/// The error of a server that answered `item` where `what` was going on.
pub(crate) fn refused(what: &str, item: &[u8]) -> io::Error {
    io::Error::other(format!("{what} refused: {}", String::from_utf8_lossy(&item[..item.len().min(600)])))
}

/// Fails unless the item holds this.
pub(crate) fn expect(item: &[u8], what: &str, sign: &[u8]) -> io::Result<()> {
    if has(item, sign) { Ok(()) } else { Err(refused(what, item)) }
}

/// Text of an element without children.
pub(crate) fn text(item: &[u8]) -> &str {
    let begin = memchr::memchr(b'>', item).map_or(0, |at| at + 1);
    let end = memchr::memrchr(b'<', item).unwrap_or(begin).max(begin);
    str::from_utf8(&item[begin..end]).unwrap_or("")
}
