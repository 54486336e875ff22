//! The one table of error codes and the error that carries them to every language.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, exit $exit:literal;)*) => {
        /// A stable error code: the contract of all languages. `tests/errors.json` holds the same table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as text, as JSON and every language have it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The exit code of a command that ends with this error.
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$name => $exit,)* }
            }
        }
    };
}

codes! {
    /// The agent answered with an error.
    AgentError = "agent_error", exit 1;
    /// An argument is invalid.
    InvalidArgument = "invalid_argument", exit 2;
    /// The agent's file, the default file or its folder doesn't exist.
    EntryNotFound = "entry_not_found", exit 2;
    /// The file is not an agent of either SDK.
    NotAnAgent = "not_an_agent", exit 2;
    /// No interpreter was found for the agent.
    InterpreterNotFound = "interpreter_not_found", exit 2;
    /// The agent's SDK is not installed where the agent runs.
    SdkMissing = "sdk_missing", exit 2;
    /// The agent's SDK is older than Greenroom supports.
    SdkTooOld = "sdk_too_old", exit 2;
    /// A session of that name is running already.
    AlreadyRunning = "already_running", exit 2;
    /// No session of that name is running.
    NoSession = "no_session", exit 3;
    /// The agent ended, crashed or never connected.
    AgentFailedToStart = "agent_failed_to_start", exit 3;
    /// The agent's process or link is gone.
    AgentGone = "agent_gone", exit 3;
    /// The session was closed on this side.
    SessionClosed = "session_closed", exit 3;
    /// The peer sent bytes that are not the protocol.
    ProtocolError = "protocol_error", exit 3;
    /// A system call failed.
    Io = "io", exit 3;
    /// A message exceeds a size limit.
    TooLarge = "too_large", exit 1;
    /// Too many calls or turns are waiting.
    Busy = "busy", exit 1;
    /// The grant, a scope or the token does not allow it.
    PermissionDenied = "permission_denied", exit 4;
    /// A deadline passed.
    Timeout = "timeout", exit 5;
    /// The caller cancelled.
    Cancelled = "cancelled", exit 130;
    /// This platform or a dependency doesn't support the call.
    Unsupported = "unsupported", exit 2;
    /// No audio device has that name.
    DeviceNotFound = "device_not_found", exit 2;
    /// An audio device is gone, or returns no samples.
    DeviceLost = "device_lost", exit 3;
    /// No audio system is available.
    AudioUnavailable = "audio_unavailable", exit 3;
    /// The handle belongs to the process that this one was forked from.
    Forked = "forked", exit 3;
    /// A defect of Greenroom itself.
    Internal = "internal", exit 1;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code, and a message that says what failed, with which input, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// Text for users; its wording may change.
    pub message: String,
    /// More to read, such as the last lines of the agent's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Error {
    /// An error without detail.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None }
    }

    /// Returns the error of invalid JSON. It says what was expected, and quotes no value, since
    /// one may be a secret.
    pub fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        /// serde's texts before a quoted value.
        const KNOWN: [&str; 4] = ["invalid type", "invalid value", "invalid length", "unknown variant"];
        let text = error.to_string();
        let known = KNOWN.into_iter().find(|known| text.starts_with(known));
        // These come from our own types. A value may say `expected` too, so the last one counts.
        let expected = text.rsplit_once(", expected ").map(|(_, expected)| expected);
        // A word such as `slow` is a mistyped choice, which the error names.
        let is_word = |word: &str| word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let variant = text.strip_prefix("unknown variant `").and_then(|rest| rest.split('`').next());
        let why = match (known, expected) {
            _ if variant.is_some_and(is_word) => text,
            // The name of a field is no value.
            _ if ["missing", "duplicate", "unknown"]
                .iter()
                .any(|what| text.starts_with(&format!("{what} field `"))) =>
            {
                text
            }
            (Some(known), Some(expected)) => format!("{known}, expected {expected}"),
            (Some(known), None) => known.to_owned(),
            (None, _) => {
                let kind = if error.is_data() { "a value is not as it has to be" } else { "it is no JSON" };
                format!("{kind} at line {} column {}", error.line(), error.column())
            }
        };
        Self::new(Code::InvalidArgument, format!("{what}: {why}"))
    }

    /// The same error with more to read.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::Error;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Options {
        port: Option<u16>,
        kind: Option<Kind>,
        attributes: Option<std::collections::BTreeMap<String, String>>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Plain,
    }

    #[test]
    fn unreadable_json_is_told_without_its_values() {
        for (json, told) in [
            ("{\"port\": \"CANARY\"}", "invalid type, expected u16 at line 1"),
            ("{\"port\": \"CANARY, expected CANARY\"}", "invalid type, expected u16 at line 1"),
            ("{\"port\": 48151623}", "invalid value, expected u16 at line 1"),
            ("{\"attributes\": \"k=CANARY\"}", "invalid type, expected a map"),
            ("{\"kind\": \"CANARY\"}", "unknown variant, expected `Plain`"),
            ("{\"kind\": \"slow\"}", "unknown variant `slow`, expected `Plain`"),
            ("{\"dance\": 1}", "unknown field `dance`, expected one of `port`, `kind`, `attributes`"),
            ("CANARY", "it is no JSON at line 1 column 1"),
        ] {
            let error = serde_json::from_str::<Options>(json).expect_err(json);
            let message = Error::unreadable("the options cannot be read", &error).message;
            assert!(message.contains(told), "{message}");
            assert!(!message.contains("CANARY") && !message.contains("48151623"), "{message}");
        }
    }
}
