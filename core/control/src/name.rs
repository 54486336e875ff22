//! What a session may be called: a name that is a file name everywhere.

use std::fmt;
use std::str::FromStr;

use greenroom_protocol::{Code, Error};
use serde::{Deserialize, Serialize};

/// The most characters that a name may have.
const LONGEST: usize = 64;

/// How much of a name that is none an error shows, in characters.
const SHOWN: usize = 40;

/// The name of a session: 1 to 64 of the letters `A` to `Z` and `a` to `z`, digits, `.`, `_` and
/// `-`, not beginning with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionName(String);

impl SessionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SessionName {
    /// `default`.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for SessionName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let why = if text.is_empty() {
            "it is empty".to_owned()
        } else if text.starts_with('.') {
            "it begins with a dot".to_owned()
        } else if let Some(other) = text.chars().find(|&c| !allowed(c)) {
            format!("it holds {other:?}")
        } else if text.len() > LONGEST {
            format!("it is {} characters long", text.len())
        } else {
            return Ok(Self(text.to_owned()));
        };
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Err(Error::new(
            Code::InvalidArgument,
            format!(
                "{shown:?} cannot name a session, since {why}; a name is 1 to {LONGEST} of A-Z, a-z, 0-9, '.', '_' and '-', and \
                 does not begin with a dot"
            ),
        ))
    }
}

impl TryFrom<String> for SessionName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<SessionName> for String {
    fn from(name: SessionName) -> Self {
        name.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
