//! How small values are stored: the kernel's own way.

pub(crate) use kernel::codec::{Decoder, Encoder};
