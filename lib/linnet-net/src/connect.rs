//! TCP to the first of several addresses that answers, attempts staggered as RFC 8305 §5 wants it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

/// Until the next address is tried beside those that have not answered yet (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// There was no address to try.
    NoAddress,
    /// None of them answered in time.
    Timeout,
    /// All refused; the last one's reason.
    Refused {
        /** Which address. */
        address: SocketAddr,
        /** What the system says. */
        reason: Box<str>,
    },
}

/// Connects to the first address that answers. `limit`: for all attempts together. Small writes leave at once (nodelay).
pub async fn connect(addresses: &[IpAddr], port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
    let end = Instant::now() + limit;
    let mut waiting = addresses.iter().map(|address| SocketAddr::new(*address, port));
    let mut attempts = JoinSet::new();
    let mut last = ConnectError::NoAddress;
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            attempts.spawn(attempt(address));
        } else if attempts.is_empty() {
            return Err(last);
        }
        // With nothing left to start, only the limit ends the wait for an answer.
        let until = if next.is_some() { end.min(Instant::now() + STAGGER) } else { end };
        match tokio::time::timeout_at(until, attempts.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(Some(Err(_)) | None) => {}
            Err(_) if Instant::now() >= end => return Err(ConnectError::Timeout),
            Err(_) => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connected.await.map_err(|error: std::io::Error| ConnectError::Refused { address, reason: error.to_string().into() })
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::NoAddress => f.write_str("there is no address to connect to"),
            ConnectError::Timeout => f.write_str("no address answers"),
            ConnectError::Refused { address, reason } => write!(f, "{address} cannot be reached: {reason}"),
        }
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nothing listens at 127.0.0.2.
        let addresses = [IpAddr::from([127, 0, 0, 2]), Ipv4Addr::LOCALHOST.into()];
        let stream = connect(&addresses, port, Duration::from_secs(5)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), addresses[1]);
        assert!(stream.nodelay().unwrap());
        drop(listener);
        let error = connect(&addresses, port, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }));
        assert_eq!(connect(&[], port, Duration::from_secs(5)).await.unwrap_err(), ConnectError::NoAddress);
    }

    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // 192.0.2.0/24 is for documentation (RFC 5737): nobody answers, or the network refuses at once.
        let addresses = [IpAddr::from([192, 0, 2, 1]), Ipv4Addr::LOCALHOST.into()];
        let begin = Instant::now();
        connect(&addresses, port, Duration::from_secs(20)).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
