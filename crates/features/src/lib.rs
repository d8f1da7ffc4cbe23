//! What the server can do: one folder per family of XEPs.
