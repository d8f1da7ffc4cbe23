//! The messages of SCRAM, by the grammar of RFC 5802 §7: attributes in their order, `m=` refused, other extensions
//! checked and ignored.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The channel-binding flag of the GS2 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag<'a> {
    /// `n`: the client does not support channel binding.
    No,
    /// `y`: the client does, and thinks that the server does not.
    NotOffered,
    /// `p=`: the client binds to a channel of this type.
    Bound(&'a str),
}

/// `client-first-message`.
#[derive(Debug)]
pub(super) struct ClientFirst<'a> {
    pub(super) flag: Flag<'a>,
    pub(super) authzid: Option<String>,
    /// The GS2 header as sent, with its last comma.
    pub(super) header: &'a str,
    /// `client-first-message-bare`.
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// `server-first-message`.
#[derive(Debug)]
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u64,
    /// Hash of what the server has advertised (XEP-0474 §6.1), in base 64.
    pub(super) offer: Option<&'a str>,
}

/// `client-final-message`.
#[derive(Debug)]
pub(super) struct ClientFinal<'a> {
    /// `cbind-input`.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
    /// `client-final-message-without-proof`.
    pub(super) without_proof: &'a str,
}

/// `server-final-message`.
#[derive(Debug)]
pub(super) enum ServerFinal {
    /// `v=`
    Verifier(Vec<u8>),
    /// `e=`
    Error,
}

/// Reads the client's first message.
pub(super) fn client_first(data: &[u8]) -> Option<ClientFirst<'_>> {
    let text = utf8(data)?;
    let mut fields = text.splitn(3, ',');
    let (flag, authzid, bare) = (fields.next()?, fields.next()?, fields.next()?);
    let header = &text[..text.len() - bare.len()];
    let flag = match flag {
        "n" => Flag::No,
        "y" => Flag::NotOffered,
        _ => Flag::Bound(value(flag, 'p').filter(|name| is_cb_name(name))?),
    };
    let authzid = match authzid {
        "" => None,
        field => Some(saslname(value(field, 'a')?)?),
    };
    let mut fields = bare.split(',');
    let username = saslname(value(fields.next()?, 'n')?)?;
    let nonce = value(fields.next()?, 'r').filter(|n| is_nonce(n))?;
    fields.all(is_extension).then_some(ClientFirst { flag, authzid, header, bare, username, nonce })
}

/// Reads the server's first message.
pub(super) fn server_first(data: &[u8]) -> Option<ServerFirst<'_>> {
    let mut fields = utf8(data)?.split(',');
    let nonce = value(fields.next()?, 'r').filter(|n| is_nonce(n))?;
    let salt = STANDARD.decode(value(fields.next()?, 's')?).ok()?;
    let iterations = posit_number(value(fields.next()?, 'i')?)?;
    let mut offer = None;
    let is_fine = fields.all(|field| {
        offer = offer.or_else(|| value(field, 'h'));
        is_extension(field)
    });
    is_fine.then_some(ServerFirst { nonce, salt, iterations, offer })
}

/// Reads the client's final message.
pub(super) fn client_final(data: &[u8]) -> Option<ClientFinal<'_>> {
    // The proof comes last, behind any extension.
    let (without_proof, proof) = utf8(data)?.rsplit_once(',')?;
    let proof = STANDARD.decode(value(proof, 'p')?).ok()?;
    let mut fields = without_proof.split(',');
    let binding = STANDARD.decode(value(fields.next()?, 'c')?).ok()?;
    let nonce = value(fields.next()?, 'r').filter(|n| is_nonce(n))?;
    fields.all(is_extension).then_some(ClientFinal { binding, nonce, proof, without_proof })
}

/// Reads the server's final message.
pub(super) fn server_final(data: &[u8]) -> Option<ServerFinal> {
    let mut fields = utf8(data)?.split(',');
    let first = fields.next()?;
    let message = match value(first, 'v') {
        Some(verifier) => ServerFinal::Verifier(STANDARD.decode(verifier).ok()?),
        None => value(first, 'e').map(|_| ServerFinal::Error)?,
    };
    fields.all(is_extension).then_some(message)
}

/// Writes a name as `saslname`.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// Base 64, as every value of octets has it.
pub(super) fn base64(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// No `value-char` is NUL, and all are UTF-8.
fn utf8(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|text| !text.contains('\0'))
}

/// The value of a field that has to be this attribute. No value is empty.
fn value(field: &str, name: char) -> Option<&str> {
    field.strip_prefix(name)?.strip_prefix('=').filter(|value| !value.is_empty())
}

/// Reads `saslname`: after `=` come `2C` or `3D`, nothing else.
fn saslname(value: &str) -> Option<String> {
    let mut pieces = value.split('=');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (c, rest) = match piece.strip_prefix("2C") {
            Some(rest) => (',', rest),
            None => ('=', piece.strip_prefix("3D")?),
        };
        name.push(c);
        name.push_str(rest);
    }
    Some(name)
}

/// `1*printable`.
fn is_nonce(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

fn is_cb_name(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

/// `posit-number`. None also for what is far beyond any count.
fn posit_number(value: &str) -> Option<u64> {
    let fine = value.len() <= 18 && !value.starts_with('0') && value.bytes().all(|b| b.is_ascii_digit());
    if fine { value.parse().ok() } else { None }
}

/// `attr-val` with a name that RFC 5802 does not give away. `m` is among those: whoever sends it wants something that
/// we do not know (§5.1).
fn is_extension(field: &str) -> bool {
    field
        .chars()
        .next()
        .is_some_and(|name| name.is_ascii_alphabetic() && !"anmrcsipve".contains(name) && value(field, name).is_some())
}
