//! How a client's stream ended, in words for people.

use super::InitiateError;
use crate::sasl;
use std::fmt;

impl fmt::Display for InitiateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitiateError::Login { condition, text: Some(text) } => {
                write!(f, "the server refused the login: {condition} ({text})")
            }
            InitiateError::Login { condition, text: None } => write!(f, "the server refused the login: {condition}"),
            InitiateError::Sasl(sasl::ClientError::ServerNotAuthentic) => {
                f.write_str("the server did not prove that it knows the password")
            }
            InitiateError::Sasl(sasl::ClientError::Downgrade) => {
                f.write_str("somebody between us and the server has changed what it offers")
            }
            InitiateError::Sasl(sasl::ClientError::BadPassword) => {
                f.write_str("the password has characters that are not allowed")
            }
            InitiateError::Sasl(error) => write!(f, "the login was stopped: {error:?}"),
            InitiateError::NoTls => f.write_str("the server offers no TLS"),
            InitiateError::Downgrade => f.write_str("somebody between us and the server weakens the login"),
            InitiateError::NoMechanism { offered } => {
                write!(f, "the server offers no login mechanism that may be used, only: {}", offered.join(", "))
            }
            InitiateError::Bind(error) => write!(f, "the server bound no resource: {:?}", error.condition),
            InitiateError::Remote(error) => write!(f, "the server ended the stream: {error}"),
            InitiateError::Local(error) => write!(f, "the server broke the protocol: {error}"),
            InitiateError::Timeout => f.write_str("the server took too long"),
            InitiateError::Ended => f.write_str("the server ended the stream before the login was over"),
        }
    }
}

impl std::error::Error for InitiateError {}
