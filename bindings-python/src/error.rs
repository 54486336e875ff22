//! How an error crosses: as one exception that carries the error's JSON. The package turns it into the class of its code.

use greenroom_protocol::{Code, Error};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    greenroom._native,
    NativeError,
    PyException,
    "An error of the native half: its only argument is the JSON text of `{code, message, detail?}`."
);

/// The exception for `error`.
pub(crate) fn raise(error: &Error) -> PyErr {
    NativeError::new_err(crate::json::error(error))
}

/// An exception with the code `invalid_argument`.
pub(crate) fn invalid(message: impl Into<String>) -> PyErr {
    raise(&Error::new(Code::InvalidArgument, message))
}

/// The process that made an object. A fork copies objects but not the threads behind them, so every use checks it.
#[derive(Clone, Copy)]
pub(crate) struct Owner(u32);

impl Owner {
    /// This process.
    pub(crate) fn this() -> Self {
        Self(std::process::id())
    }

    /// Whether this process is the one.
    pub(crate) fn is_here(self) -> bool {
        std::process::id() == self.0
    }

    /// Fails with the code `forked` anywhere else.
    pub(crate) fn check(self) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(raise(&Error::new(
            Code::Forked,
            format!(
                "this session belongs to process {}, which forked this one; start a session of its own here, or use multiprocessing's \
                 start method `spawn`",
                self.0
            ),
        )))
    }
}
