//! A connection from its first byte until a resource is bound. All that this needs is gone afterwards.

use crate::{
    c2s::{Established, Guard},
    limits,
    listener::Shared,
    rates::Visit,
    socket::Socket,
    tls::Inside,
};
use linnet_xmpp::{
    sasl::Failure,
    stanza::Condition,
    stream::{Accept, Answer, Framing, Need, Output, Secured},
};
use std::{sync::Arc, task::Poll, time::Instant};

/// A client that has come, however it came.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) framing: Framing,
    /// Where the connection is secure already.
    pub(crate) secured: Option<Secured>,
    /// Where it is not, whether it has to become so by STARTTLS. Else it is one of this machine.
    pub(crate) may_start_tls: bool,
    pub(crate) visit: Visit,
    /// Bytes that were read already.
    pub(crate) input: Vec<u8>,
}

/// Leads a client through TLS, login and binding. `None`: the connection is over.
pub(crate) async fn login(shared: Arc<Shared>, arrival: Arrival) -> Option<Established> {
    let Arrival { socket, framing, secured, may_start_tls, visit, input } = arrival;
    let config = if may_start_tls || secured.is_some() { &shared.encrypted } else { &shared.plaintext };
    let stream = Accept::with(framing, config.clone(), Instant::now(), secured);
    let login = Login { shared, socket, stream, visit, out: Vec::new(), is_counted: false, guard: None };
    login.run(input).await
}

struct Login {
    shared: Arc<Shared>,
    socket: Socket,
    stream: Accept,
    visit: Visit,
    out: Vec<u8>,
    /// An attempt to log in is counted as failed until it has succeeded.
    is_counted: bool,
    /// The session, from the answer to `Bind`, `Resume` or `Enter` on.
    guard: Option<Guard>,
}

impl Login {
    async fn run(mut self, mut input: Vec<u8>) -> Option<Established> {
        loop {
            let mut rest = &input[..];
            while let Some(output) = self.stream.poll(&mut rest, Instant::now()) {
                match output {
                    Output::Write(bytes) => self.out.extend_from_slice(&bytes),
                    Output::StartTls => {
                        rest = &[];
                        self = self.secure().await?;
                    }
                    Output::Need(need) => {
                        let answer = self.answer(need).await;
                        if let Some(answer) = answer {
                            self.stream.answer(answer);
                        }
                    }
                    Output::Bound(address) => {
                        tracing::debug!(peer = %self.visit.peer, %address, "logged in");
                        let guard = self.guard?;
                        return Some(Established::new(self.shared, self.socket, self.stream, guard, self.out, rest));
                    }
                    // There is none before `Bound`, by the stream's contract.
                    Output::Stanza(_) | Output::Control(_) => return None,
                    end @ (Output::Closed(_) | Output::Gone) => {
                        if let Output::Closed(Some(error)) = end {
                            let (peer, condition) = (self.visit.peer, error.condition.name());
                            tracing::debug!(%peer, condition, "a stream ended before login");
                        }
                        if self.socket.write_all(&self.out, limits::HANDSHAKE).await.is_ok() {
                            drop(self.guard);
                            self.socket.close().await;
                        }
                        return None;
                    }
                }
            }
            if !self.out.is_empty() {
                self.socket.write_all(&self.out, limits::HANDSHAKE).await.ok()?;
                self.out.clear();
            }
            input = self.read().await?;
        }
    }

    /// The next bytes; none at the deadline, which the stream then notices.
    async fn read(&mut self) -> Option<Vec<u8>> {
        let socket = &mut self.socket;
        let read = std::future::poll_fn(|cx| match socket.poll_input(cx, <[u8]>::to_vec) {
            Poll::Ready(Ok(bytes)) if !bytes.is_empty() => Poll::Ready(Some(bytes)),
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match self.stream.deadline() {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), read).await.unwrap_or(Some(Vec::new())),
            None => read.await,
        }
    }

    /// What is buffered goes out, and TLS begins; whatever else had come is forgotten with the caller's input.
    async fn secure(mut self) -> Option<Login> {
        self.socket.write_all(&self.out, limits::HANDSHAKE).await.ok()?;
        self.out.clear();
        match Box::pin(self.socket.secure(&self.shared.tls, Inside::Asked)).await {
            Ok((socket, secured)) => {
                self.socket = socket;
                self.stream.secured(secured);
                Some(self)
            }
            Err(error) => {
                tracing::debug!(peer = %self.visit.peer, %error, "a TLS handshake failed");
                None
            }
        }
    }

    /// Asks the kernel, not longer than the login may take. An address that failed too often is not even asked about.
    async fn answer(&mut self, need: Need) -> Option<Answer> {
        let enters = matches!(need, Need::Bind { .. } | Need::Resume { .. } | Need::Enter(_));
        let is_proven = enters || matches!(need, Need::Upgrades { .. } | Need::Upgrade { .. });
        self.is_counted |= !is_proven;
        if !is_proven && !self.visit.attempt(Instant::now()) {
            let failure = Failure::TemporaryAuthFailure;
            return Some(match need {
                Need::Keys { .. } => Answer::Keys(Err(failure)),
                Need::SignUp { .. } => Answer::SignedUp(Err(Condition::ResourceConstraint.into())),
                _ => Answer::Verified(Err(failure)),
            });
        }
        let deadline = self.stream.deadline().unwrap_or_else(|| Instant::now() + limits::LOGIN);
        let kernel = self.shared.kernel.clone();
        let answer = tokio::time::timeout_at(deadline.into(), kernel.answer(need)).await;
        let (answer, session) = answer.ok()?;
        if enters && std::mem::take(&mut self.is_counted) {
            self.visit.succeeded();
        }
        if let Some((session, connection)) = session {
            self.guard = Some(Guard::new(kernel, session, connection));
        }
        Some(answer)
    }
}
