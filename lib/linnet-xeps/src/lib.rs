//! Payload types of XMPP extensions, one file per family.
