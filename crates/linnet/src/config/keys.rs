//! Every key of the configuration, once: what is read, what is unknown and what the documentation says come from here.

use std::fmt::Write;

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its table; empty at the top.
    pub(crate) section: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// What may be said, in words.
    pub(crate) value: &'static str,
    /// What holds where nothing is said, in words.
    pub(crate) usual: &'static str,
    /// What it is for.
    pub(crate) help: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    value: &'static str,
    usual: &'static str,
    help: &'static str,
) -> Key {
    Key { section, name, value, usual, help }
}

/// All keys, in the order of the documentation.
pub(crate) const KEYS: &[Key] = &[
    key("", "domain", "domain", "`\"localhost\"`", "The part of addresses behind the `@`."),
    key("", "domains", "list of domains", "`[]`", "Further domains that this server serves."),
    key(
        "",
        "data",
        "directory",
        "`$STATE_DIRECTORY`; `/var/lib/linnet` for root; else `~/.local/share/linnet`",
        "Where everything is kept. Made if it is not there.",
    ),
    key("", "admins", "list of addresses", "`[]`", "Accounts that may run administrative commands."),
    key("", "registration", "true or false", "`false`", "Whether strangers may create accounts (XEP-0077)."),
    key("", "log", "error, warn, info, debug or trace", "`\"info\"`", "What is logged, on standard error."),
    key("", "log_format", "text or json", "`\"text\"`", "How it is logged."),
    key(
        "listen",
        "c2s",
        "list of addresses with ports",
        "port 5222 of all interfaces, or of this machine only if the domain is `localhost`",
        "Where clients connect and then begin TLS (STARTTLS, required).",
    ),
    key(
        "listen",
        "c2s_tls",
        "list of addresses with ports",
        "port 5223, likewise",
        "Where clients connect with TLS from the first byte (XEP-0368).",
    ),
    key(
        "listen",
        "s2s",
        "list of addresses with ports",
        "port 5269 of all interfaces, or `[]` if the domain is `localhost`",
        "Where other servers connect (STARTTLS, required). Without this and the next one there is no federation.",
    ),
    key(
        "listen",
        "s2s_tls",
        "list of addresses with ports",
        "port 5270, likewise",
        "Where other servers connect with TLS from the first byte (XEP-0368).",
    ),
    key(
        "listen",
        "plaintext",
        "list of addresses with ports",
        "`[]`",
        "Where clients connect without TLS: for programs on this machine only, other addresses are refused.",
    ),
    key(
        "listen",
        "https",
        "list of addresses with ports",
        "port 5443, likewise",
        "Where files are sent and fetched over HTTP inside TLS. Port 443 may be said, where nothing else has it.",
    ),
    key(
        "listen",
        "http",
        "list of addresses with ports",
        "port 5280 of this machine if the domain is `localhost`, else `[]`",
        "The same without TLS: for a reverse proxy on this machine only, other addresses are refused.",
    ),
    key(
        "listen",
        "all",
        "list of addresses with ports",
        "`[]`",
        "Everything inside TLS on one port: HTTP, and clients as at `c2s_tls`; what a client wants is in its TLS handshake \
         (ALPN) or its first bytes. Port 443 reaches out of most networks.",
    ),
    key(
        "listen",
        "proxy_protocol",
        "list of the keys above",
        "`[]`",
        "Where only proxies of `proxies` connect, and say for whom in the PROXY protocol, version 1 or 2.",
    ),
    key(
        "http",
        "url",
        "URL",
        "`https://` with the domain and the first port of `https`",
        "Where others reach the server over HTTP, for example through a reverse proxy. Addresses of files begin so.",
    ),
    key("http", "websocket", "path", "`\"/xmpp-websocket\"`", "Where XMPP over WebSocket is; it is at `/ws` as well."),
    key("http", "bosh", "path", "`\"/http-bind\"`", "Where XMPP over BOSH is."),
    key(
        "http",
        "origins",
        "list of origins, such as `https://chat.example.org`, or `*`",
        "`[]`",
        "Web pages that may connect, beside those of the host that they connect to.",
    ),
    key(
        "http",
        "proxies",
        "list of addresses or networks",
        "`[\"127.0.0.0/8\", \"::1\"]`",
        "Reverse proxies that are believed for whom they speak (`Forwarded`, `X-Forwarded-For`, `X-Forwarded-Proto`).",
    ),
    key(
        "http",
        "see_other_uri",
        "URI",
        "none",
        "Where clients that come by WebSocket or BOSH are sent instead, for example while the server moves.",
    ),
    key(
        "http",
        "public_addresses",
        "list of addresses",
        "none",
        "The server's public IP addresses. Where they are said, `host-meta.json` has all that clients need to connect \
         without DNS (XEP-0487).",
    ),
    key("files", "size", "bytes", "`104857600`", "Largest file that an account may upload (XEP-0363)."),
    key("files", "quota", "bytes", "`1073741824`", "All files of an account together."),
    key(
        "files",
        "keep_days",
        "days, 0 for ever",
        "`60`",
        "How long files of messages are kept. Those for profiles and for publishing stay.",
    ),
    key(
        "s3",
        "bucket",
        "name",
        "none: files are in the data directory",
        "The bucket of an S3 service that keeps files.",
    ),
    key("s3", "endpoint", "URL", "that of Amazon for the region", "The service."),
    key("s3", "region", "name", "`\"us-east-1\"`", "The region; most services besides Amazon take any."),
    key("s3", "access_key", "text", "", "The name of the service's key."),
    key("s3", "secret_key", "text", "", "The key. The file with it is for the server's user only."),
    key(
        "tls",
        "certificate",
        "PEM file",
        "a self-signed one in the data directory",
        "The certificate, followed by those that lead to its authority.",
    ),
    key("tls", "key", "PEM file", "made with the certificate", "The certificate's private key."),
    key(
        "tls",
        "more_certificates",
        "list of PEM files",
        "`[]`",
        "Further certificates, for further domains: a connection gets the one for the name that it asks for.",
    ),
    key("tls", "more_keys", "list of PEM files", "`[]`", "Their private keys, in the same order."),
    key(
        "limits",
        "stanza_size_before_login",
        "bytes",
        "`10240`",
        "Largest element of a client that has not logged in.",
    ),
    key("limits", "stanza_size", "bytes", "`524288`", "Largest stanza of a client."),
    key(
        "limits",
        "bytes_per_second",
        "bytes, 0 for no limit",
        "`10485760`",
        "What is read from one client; who sends more is read more slowly.",
    ),
    key(
        "limits",
        "stanzas_per_second",
        "number, 0 for no limit",
        "`5000`",
        "Stanzas that the clients of one account may send, all together; who sends more is read more slowly.",
    ),
    key(
        "limits",
        "strangers_per_hour",
        "number, 0 for no limit",
        "`200`",
        "People outside of its roster whom one account may write to or ask for a subscription; further ones are refused \
         for a while.",
    ),
    key(
        "limits",
        "logins_per_minute",
        "number, 0 for no limit",
        "`30`",
        "Failed logins from one address (IPv6: from one /64); further ones are refused for a while.",
    ),
    key("limits", "connections_per_minute", "number, 0 for no limit", "`600`", "New connections from one address."),
    key(
        "limits",
        "connections_per_address",
        "number, 0 for no limit",
        "`100`",
        "Connections from one address that have not logged in.",
    ),
    key(
        "limits",
        "exempt",
        "list of addresses or networks",
        "`[\"127.0.0.0/8\", \"::1\"]`",
        "Addresses that the limits per address do not concern, such as a proxy.",
    ),
    key(
        "federation",
        "require_certificate",
        "true or false",
        "`false`",
        "Whether other servers must have a certificate that is good for their domain. Otherwise dialback is enough, which \
         trusts DNS.",
    ),
    key(
        "federation",
        "certificate_exceptions",
        "list of domains",
        "`[]`",
        "Domains for which the opposite of `require_certificate` holds.",
    ),
    key(
        "federation",
        "allowed",
        "list of domains",
        "`[]`: all",
        "If there are any, only these domains and their sub-domains are talked to.",
    ),
    key("federation", "blocked", "list of domains", "`[]`", "Domains that are not talked to, nor their sub-domains."),
    key(
        "federation",
        "stanzas_per_second",
        "number, 0 for no limit",
        "`5000`",
        "Stanzas that one stream of another server may send; who sends more is read more slowly.",
    ),
    key(
        "federation",
        "authorities",
        "list of PEM files",
        "those that the operating system trusts",
        "The authorities whose certificates are good.",
    ),
    key(
        "federation",
        "hosts",
        "list of `domain=host:port` or `domain=tls:host:port`",
        "`[]`: DNS says it",
        "Where the servers of domains are, for private networks; several of one domain are tried in order.",
    ),
    key(
        "federation",
        "name_servers",
        "list of addresses with ports",
        "those of the operating system",
        "Whom to ask about other servers in DNS.",
    ),
    key(
        "federation",
        "keep_seconds",
        "seconds",
        "`3600`",
        "How long messages wait for a server that cannot be reached, before their senders are told.",
    ),
    key(
        "federation",
        "idle_seconds",
        "seconds",
        "`900`",
        "After how long a stream is closed on which nothing happens.",
    ),
    key("federation", "stanza_size", "bytes", "`524288`", "Largest stanza of another server."),
    key(
        "relays",
        "services",
        "list of URIs",
        "`[]`",
        "STUN and TURN services that clients are told of for calls (XEP-0215), such as \
         `turn:relay.example.org:3478?transport=udp`.",
    ),
    key(
        "relays",
        "secret",
        "text",
        "none",
        "What the TURN services share with this server (`static-auth-secret` of coturn), so that it can make credentials \
         that are good for some hours. The file with it is for the server's user only.",
    ),
    key("relays", "credential_hours", "hours", "`12`", "How long credentials are good for."),
    key("push", "message_count", "true or false", "`true`", "Whether app servers are told how many messages wait."),
    key(
        "push",
        "subscription_count",
        "true or false",
        "`true`",
        "Whether app servers are told how many requests for a subscription wait.",
    ),
    key(
        "push",
        "sender",
        "true or false",
        "`false`",
        "Whether app servers are told who wrote. They are run by the makers of apps, and others read what they send on.",
    ),
    key("push", "body", "true or false", "`false`", "Whether app servers are told what was written."),
    key(
        "archive",
        "keep_days",
        "days, 0 for ever",
        "`0`",
        "How long archives keep messages; `linnet archive keep` says it for one account.",
    ),
    key("contacts", "abuse", "list of URIs", "`[]`", "Whom to tell about abuse (XEP-0157)."),
    key("contacts", "admin", "list of URIs", "`[]`", "Who runs the server."),
    key("contacts", "feedback", "list of URIs", "`[]`", "Who likes to hear about the service."),
    key("contacts", "sales", "list of URIs", "`[]`", "Who sells it."),
    key("contacts", "security", "list of URIs", "`[]`", "Whom to tell about holes."),
    key("contacts", "status", "list of URIs", "`[]`", "Where its state is told."),
    key("contacts", "support", "list of URIs", "`[]`", "Who helps."),
];

/// The documentation of all keys, in Markdown.
pub(crate) fn document() -> String {
    let mut out = String::from(
        "# Configuration\n\nGenerated from `crates/linnet/src/config/keys.rs`.\n\nThe file is named by `--config` or \
         `$LINNET_CONFIG`; else it is `/etc/linnet/linnet.toml` or\n`~/.config/linnet/linnet.toml`, and there need not \
         be one. Every key may be left out; a key that is not listed here\nis an error. `linnet check` says what is \
         wrong.\n",
    );
    let mut section = None;
    for key in KEYS {
        if section != Some(key.section) {
            section = Some(key.section);
            let title = if key.section.is_empty() { "At the top".into() } else { format!("`[{}]`", key.section) };
            // Writing to a string does not fail.
            let _ = write!(out, "\n## {title}\n\n| key | value | default | what for |\n| --- | --- | --- | --- |\n");
        }
        let _ = writeln!(out, "| `{}` | {} | {} | {} |", key.name, key.value, key.usual, key.help);
    }
    out
}
