//! Tokens for rooms.

use greenroom_control::credentials::{CredentialsRequest, credentials as make};
use pyo3::prelude::*;

use crate::error::raise;
use crate::json;

/// Credentials for a room, as JSON. It blocks while an env file is a named pipe.
///
/// `request` is JSON, see `greenroom_control::credentials::CredentialsRequest`.
#[pyfunction]
pub(crate) fn credentials(py: Python<'_>, request: &str) -> PyResult<String> {
    let request: CredentialsRequest = json::parse("request for credentials", request)?;
    let made = py.detach(|| make(&request)).map_err(|error| raise(&error))?;
    Ok(json::text(&made))
}
