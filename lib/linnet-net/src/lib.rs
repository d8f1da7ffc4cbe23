//! tokio around linnet-xmpp: DNS, TCP, TLS, and a client that reconnects.
