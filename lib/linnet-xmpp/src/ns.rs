//! Namespaces of RFC 6120 and RFC 6121. Those of extensions are in `linnet-xeps`.

/// Stanzas between client and server (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Stanzas between servers (RFC 6120 §4.8.2).
pub const SERVER: &str = "jabber:server";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// Server dialback as a stream feature (XEP-0220 §2.4.2).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// Bidirectional streams between servers (XEP-0288).
pub const BIDI: &str = "urn:xmpp:bidi";
/// Bidirectional streams as a stream feature (XEP-0288 §2.1).
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// The stream element and its features (RFC 6120 §4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Stream headers where each element is a message (RFC 7395 §3.3.2).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// Conditions of stream errors (RFC 6120 §4.9.2).
pub const STREAM_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120 §8.3.2).
pub const STANZA_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// STARTTLS (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Channel-binding types (XEP-0440), advertised beside the SASL mechanisms.
pub const SASL_CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// SASL 2 (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Bind 2 (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Authentication by tokens (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Authentication in the segment of the stream header (XEP-0509).
pub const PIPELINING: &str = "urn:xmpp:iap:0";
/// Upgrade tasks (XEP-0480).
pub const SASL_UPGRADE: &str = "urn:xmpp:sasl:upgrade:0";
/// Upgrades of SCRAM (XEP-0480 §3).
pub const SCRAM_UPGRADE: &str = "urn:xmpp:scram-upgrade:0";
/// Stream limits (XEP-0478).
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The session request of RFC 3921, optional and without effect.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Roster management (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Roster versioning as a stream feature (RFC 6121 §2.6).
pub const ROSTER_VERSIONING: &str = "urn:xmpp:features:rosterver";
/// Subscription pre-approval as a stream feature (RFC 6121 §3.4).
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// Stream management (XEP-0198).
pub const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Client state indication (XEP-0352).
pub const CLIENT_STATE: &str = "urn:xmpp:csi:0";
/// The prefix `xml` (Namespaces in XML 1.0 §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The prefix `xmlns` (Namespaces in XML 1.0 §3).
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
