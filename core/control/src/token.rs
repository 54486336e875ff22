//! The secret that opens a session to its own user alone.

use std::fmt;

use greenroom_protocol::{Code, Error};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// 256 random bits as hexadecimal text. Its debug form shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// `io`, when the system has no randomness.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(Code::Io, format!("the system returned no random bytes: {error}")))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Whether `given` is the token. The comparison takes constant time.
    pub fn matches(&self, given: &Self) -> bool {
        self.0.as_bytes().ct_eq(given.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
