//! Listeners, TLS and the loops between sockets and kernel.
