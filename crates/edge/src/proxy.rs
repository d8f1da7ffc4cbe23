//! The PROXY protocol, versions 1 and 2: what a proxy says of the connection that it hands on, before its first byte.
//! (The HAProxy project's `proxy-protocol.txt`, sections 2.1 and 2.2.)

use crate::limits;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, end included.
const LINE: usize = 107;

/// Reads the header, and nothing behind it. `None`: the proxy speaks for itself.
///
/// # Errors
/// There is no header, or it takes too long. The connection must not be used then.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    tokio::time::timeout(limits::HANDSHAKE, header(stream)).await?
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    // Both versions have at least so many bytes.
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if &first == SIGNATURE { binary(stream).await } else { line(first.to_vec(), stream).await }
}

async fn line(mut line: Vec<u8>, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    if !line.starts_with(b"PROXY ") {
        return Err(wrong());
    }
    // Byte by byte: what comes behind is for others.
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE {
            return Err(wrong());
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| wrong())?;
    let mut words = text.trim_end().split(' ').skip(1);
    match words.next() {
        Some("TCP4") => words.next().and_then(|word| word.parse::<Ipv4Addr>().ok()).map(IpAddr::V4),
        Some("TCP6") => words.next().and_then(|word| word.parse::<Ipv6Addr>().ok()).map(IpAddr::V6),
        Some("UNKNOWN") => return Ok(None),
        _ => None,
    }
    .map_or_else(|| Err(wrong()), |address| Ok(Some(address)))
}

async fn binary(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let [command, family] = [stream.read_u8().await?, stream.read_u8().await?];
    let length = usize::from(stream.read_u16().await?);
    if length > limits::PROXY_HEADER {
        return Err(wrong());
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await?;
    match (command, family) {
        // A check of the proxy's own.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => Ok(Some(Ipv4Addr::from(*content.first_chunk::<4>().ok_or_else(wrong)?).into())),
        (0x21, 0x21) => Ok(Some(Ipv6Addr::from(*content.first_chunk::<16>().ok_or_else(wrong)?).into())),
        // Something that has no address.
        (0x21, _) => Ok(None),
        _ => Err(wrong()),
    }
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_from(bytes: &[u8]) -> Result<(Option<IpAddr>, Vec<u8>), io::ErrorKind> {
        let mut rest = bytes;
        let address = read(&mut rest).await.map_err(|error| error.kind())?;
        Ok((address, rest.to_vec()))
    }

    #[tokio::test]
    async fn both_versions_and_nothing_behind_them() {
        let first = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n<stream";
        assert_eq!(read_from(first).await, Ok((Some("192.0.2.7".parse().unwrap()), b"<stream".to_vec())));
        let sixth = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n";
        assert_eq!(read_from(sixth).await, Ok((Some("2001:db8::7".parse().unwrap()), vec![])));
        assert_eq!(read_from(b"PROXY UNKNOWN\r\n<").await, Ok((None, b"<".to_vec())));
        let second = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3, 4], b"<"].concat();
        assert_eq!(read_from(&second).await, Ok((Some("192.0.2.7".parse().unwrap()), b"<".to_vec())));
        let check = [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat();
        assert_eq!(read_from(&check).await, Ok((None, vec![])));
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let endless = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
        let short = [&SIGNATURE[..], &[0x21, 0x11, 0, 2, 1, 2]].concat();
        let large = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        let version = [&SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat();
        let bad: [&[u8]; 7] = [
            b"<stream:stream to='localhost'>",
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 localhost 198.51.100.1 1 2\r\n",
            &endless,
            &short,
            &large,
            &version,
        ];
        for bad in bad {
            assert_eq!(read_from(bad).await, Err(io::ErrorKind::InvalidData), "{bad:?}");
        }
        assert_eq!(read_from(b"PROXY TCP4 192.0.").await, Err(io::ErrorKind::UnexpectedEof));
    }
}
