//! A device that logs in by SASL 2 (XEP-0388): once by its password, which gives it a token and a session that can be
//! resumed, and then again and again by both, in the segment of the stream header (XEP-0484, XEP-0198, XEP-0509).

use std::io;

use crate::scram::{Exchange, token_message};
use crate::session::{Target, expect, has, refused, text};
use crate::wire::Wire;

/// What a device keeps from one session to the next.
pub(crate) struct Device {
    user: String,
    id: String,
    token: String,
    session: String,
}

impl Target {
    /// Logs a new device of `user` in. On an error the server does not offer all of it.
    pub(crate) async fn introduce(&self, user: &str, tls: bool) -> io::Result<(Wire, Device)> {
        let mut wire = self.open(tls).await?;
        let mut exchange = Exchange::new(self.mechanism, user)?;
        let id = format!(
            "d4565fa7-4d72-4749-b3d3-{:012x}",
            user.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) & 0xffff_ffff_ffff)
        );
        let request = format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{}'><initial-response>{}</initial-response>\
             <user-agent id='{id}'/><bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>\
             <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/></authenticate>",
            self.mechanism.name(),
            exchange.first()
        );
        wire.send(request.as_bytes()).await?;
        let challenge = wire.item().await?;
        expect(challenge, "SASL 2", b"<challenge")?;
        let answer = exchange.answer(text(challenge), &self.password, &self.salted);
        let answer = answer.ok_or_else(|| refused("SCRAM challenge", challenge))?;
        wire.send(format!("<response xmlns='urn:xmpp:sasl:2'>{answer}</response>").as_bytes()).await?;
        let success = wire.item().await?.to_vec();
        expect(&success, "SASL 2", b"<success")?;
        let part = |before: &str| between(&success, before).ok_or_else(|| refused("a token and a session", &success));
        let (token, session) = (part(" token='")?, part("<enabled xmlns='urn:xmpp:sm:3' id='")?);
        let device = Device { user: user.to_owned(), id, token, session };
        expect(wire.item().await?, "features", b"features")?;
        Ok((wire, device))
    }

    /// Goes on with the device's session on a new connection: one round trip after TLS.
    pub(crate) async fn come_back(&self, device: &Device, tls: bool) -> io::Result<Wire> {
        let mut wire = self.connect(tls).await?;
        let request = format!(
            "{}<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>{}</initial-response>\
             <user-agent id='{}'/><fast xmlns='urn:xmpp:fast:0'/>\
             <resume xmlns='urn:xmpp:sm:3' previd='{}' h='0'/></authenticate>",
            self.header_bytes(),
            token_message(&device.user, &device.token),
            device.id,
            device.session
        );
        wire.send(request.as_bytes()).await?;
        expect(wire.item().await?, "stream header", b"<stream:stream")?;
        expect(wire.item().await?, "stream features", b"features")?;
        let success = wire.item().await?;
        if !has(success, b"<resumed") {
            return Err(refused("resumption", success));
        }
        expect(wire.item().await?, "features", b"features")?;
        Ok(wire)
    }
}

fn between(item: &[u8], before: &str) -> Option<String> {
    let (_, rest) = str::from_utf8(item).ok()?.split_once(before)?;
    Some(rest.split_once('\'')?.0.to_owned())
}
