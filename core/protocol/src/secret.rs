//! Text that may be a secret.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Text that is or may hold a secret: a token, a key, a url with a password in it, a value of an env file.
///
/// It has no `Display` and no `Serialize`, its debug form and the errors of its deserialization show nothing of it, so that no error,
/// log, panic or JSON can quote it unless the code says [`reveal`](Self::reveal).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the code that uses it. Never format it into something that is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `text` with each occurrence of the secret replaced by `…`, for messages of others that may repeat what they were sent. One
    /// of less than 8 bytes stays: it cannot be told from the words around it.
    pub fn hidden_in(&self, text: &str) -> String {
        if self.0.len() < 8 { text.to_owned() } else { text.replace(&self.0, "…") }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOnly)
    }
}

/// Takes text. Serde's own message about anything else would quote the value.
struct TextOnly;

impl TextOnly {
    fn refuse<E: de::Error>(found: &str) -> Result<Secret, E> {
        Err(E::custom(format_args!("expected a string, found {found}")))
    }
}

impl<'de> Visitor<'de> for TextOnly {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(text.into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Secret, E> {
        Ok(text.into())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Self::refuse("a boolean")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Secret, E> {
        Self::refuse("null")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Self::refuse("a list")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Self::refuse("an object")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn secret_debug_form_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(Secret(…))");
    }

    #[test]
    fn secret_of_another_json_type_is_refused_without_its_value() {
        for json in ["4711", "-4711", "4711.5", "true", "null", "[4711]", "{\"a\": 4711}"] {
            let error = serde_json::from_str::<Secret>(json).unwrap_err().to_string();
            assert!(error.contains("expected a string") && !error.contains("4711"), "{error}");
        }
        let read: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(read.reveal(), "hunter2");
    }

    #[test]
    fn hidden_in_replaces_every_occurrence() {
        let token = Secret::new("eyJ.a.b.c");
        assert_eq!(token.hidden_in("invalid token: eyJ.a.b.c (eyJ.a.b.c)"), "invalid token: … (…)");
        for short in ["", "t"] {
            assert_eq!(Secret::new(short).hidden_in("as it was"), "as it was");
        }
    }
}
