//! Tokens for rooms.

use std::panic;

use greenroom_control::credentials::{self, CredentialsRequest};
use greenroom_protocol::{Code, Error};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Result, Task};
use napi_derive::napi;

use crate::exchange::{from_json, thrown, to_json};

/// Credentials for a room, as JSON, made on a thread of Node's pool since an env file may be a named pipe. `request` is JSON.
#[napi(catch_unwind, ts_return_type = "Promise<string>")]
pub fn credentials(request: String) -> Result<AsyncTask<Making>> {
    Ok(AsyncTask::new(Making(from_json("the request cannot be read", &request)?)))
}

/// The work of [`credentials`].
pub struct Making(CredentialsRequest);

impl Task for Making {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> Result<String> {
        // Nothing catches a panic of this thread but this.
        let made = panic::catch_unwind(|| credentials::credentials(&self.0))
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "credentials panicked")));
        made.map(|made| to_json(&made)).map_err(|error| thrown(&error))
    }

    fn resolve(&mut self, _: Env, json: String) -> Result<String> {
        Ok(json)
    }
}
