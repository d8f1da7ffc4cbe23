//! Channel-binding data (RFC 5056), as the TLS layer gives it.

const EXPORTER: &str = "tls-exporter";
const SERVER_END_POINT: &str = "tls-server-end-point";

/// Channel-binding data of a TLS connection.
#[derive(Debug, Clone, Default)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266): 32 bytes exported with label `EXPORTER-Channel-Binding`; only TLS 1.3.
    pub exporter: Option<Box<[u8]>>,
    /// `tls-server-end-point` (RFC 5929 §4): hash of the server's certificate.
    pub server_end_point: Option<Box<[u8]>>,
}

impl ChannelBindings {
    /// The types at hand, strongest first, as registered names.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        [EXPORTER, SERVER_END_POINT].into_iter().filter(|name| self.data(name).is_some())
    }

    /// The data of a type.
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        match name {
            EXPORTER => self.exporter.as_deref(),
            SERVER_END_POINT => self.server_end_point.as_deref(),
            _ => None,
        }
    }

    /// The type for a client to use with a server that advertises these (XEP-0440): the strongest that both have.
    /// Where the server says nothing, `tls-server-end-point`, which every server has to know (XEP-0440 §3, rules 1
    /// and 4).
    pub(super) fn shared(&self, advertised: &[&str]) -> Option<&'static str> {
        if advertised.is_empty() {
            return self.types().last();
        }
        self.types().find(|ours| advertised.contains(ours))
    }
}
