//! The Node binding of Greenroom: the addon `greenroom.node`. Its declarations for TypeScript are generated from
//! here into `native.d.ts` (`make gen`); the npm package in packages/greenroom is what people use.
//!
//! It is thin: operations, answers, events and errors cross as JSON text of `greenroom-protocol`, whose names are the
//! contract of all languages; defaults, checks of arguments and typed objects are the package's. There is no state
//! but that of its objects, so that each worker thread has its own. A panic becomes a JavaScript error.

// napi's macros register each function with Node through generated unsafe code.
#![allow(unsafe_code)]

pub mod audio;
pub mod credentials;
pub mod driver;
pub mod exchange;
mod options;
pub mod pipe;
pub mod room;
pub mod speech;
pub mod topic;

use std::process::Command;

use napi::{Error, Result};
use napi_derive::napi;

/// The version of the native code, which is the version of the package.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The codes of the table of errors that all languages share.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    greenroom_protocol::Code::ALL.iter().map(|code| code.as_str()).collect()
}

/// Runs `program` with `args` in the place of this very process: same process id, terminal and parent. Returns only
/// by throwing, when the program cannot be run or the platform has no such call. `runtime`, this process' own program,
/// runs JavaScript agents where there is no Node.
#[napi(catch_unwind)]
pub fn replace_process(program: String, args: Vec<String>, runtime: String) -> Result<()> {
    let mut command = Command::new(&program);
    let error = greenroom_os::replace_process(command.args(args).env("GREENROOM_HOST_RUNTIME", runtime));
    Err(Error::from_reason(format!("cannot run {program}: {error}")))
}

/// Panics, so that a test sees what becomes of a panic.
#[napi(catch_unwind)]
pub fn panic(message: String) {
    panic!("{message}");
}
