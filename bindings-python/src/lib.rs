//! The Python binding of Greenroom: the module `greenroom._native`.
//!
//! It is thin on purpose. What crosses is JSON text (the contract of all languages, see the crate `greenroom-protocol`), numbers and
//! bytes; defaults, typed objects and error classes are the Python package's. Names and order are those of `_native.pyi`.
//!
//! | module | what it is for |
//! |---|---|
//! | `driver` | a session whose link and thread are native |
//! | `room` | a room that was joined, and its calls |
//! | `audio` | capture and playback |
//! | `credentials` | tokens for rooms |
//! | `topic` | all use of the topic in a Room that lives in Python |
//! | `pipe` | the caller's end of a session whose agent is in this process |
//! | `wake` | how a native thread wakes a Python event loop without the GIL |
//! | `speech` | speech from files and samples, in noise, and into files |
//! | `json` | arguments in, answers and events out |
//! | `error` | how an error crosses |

mod audio;
mod credentials;
mod driver;
mod error;
mod json;
mod pipe;
mod room;
mod speech;
mod topic;
mod wake;

/// The native half of the package `greenroom`; the classes that people use are in the package itself.
#[pyo3::pymodule]
mod _native {
    use greenroom_protocol::Code;
    use greenroom_protocol::message::{self, Kind};
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::audio::{CaptureDriver, PlaybackDriver, devices, is_virtual_device};
    #[pymodule_export]
    use crate::credentials::credentials;
    #[pymodule_export]
    use crate::driver::{Driver, join, open, start};
    #[pymodule_export]
    use crate::error::NativeError;
    #[pymodule_export]
    use crate::pipe::{Pipe, over_pipe};
    #[pymodule_export]
    use crate::room::RoomDriver;
    #[pymodule_export]
    use crate::speech::{SpeechStream, noisy, speech_from_pcm, speech_from_wav, write_wav};
    #[pymodule_export]
    use crate::topic::{RoomTopic, check_local};

    /// The kind, `"request"` or `"response"`, and id of a message of which only the first bytes are known; None if they do not tell.
    #[pyfunction]
    fn peek_id(head: &[u8]) -> Option<(&'static str, String)> {
        match message::peek_id(head)? {
            (Kind::Request { .. }, id) => Some(("request", id)),
            (Kind::Response, id) => Some(("response", id)),
            _ => None,
        }
    }

    /// The version of the native code, which is the version of the package.
    #[pyfunction]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Every error code of the table.
    #[pyfunction]
    fn error_codes() -> Vec<&'static str> {
        Code::ALL.iter().map(|code| code.as_str()).collect()
    }

    /// Panics, so that a test can see what becomes of a panic.
    #[pyfunction]
    #[pyo3(name = "_panic")]
    fn panic_for_tests(message: String) {
        panic!("{message}");
    }
}
