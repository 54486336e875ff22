//! Files and folders that only their user can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use greenroom_protocol::{Code, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes a folder, and those above it, for this user alone. One that is there is left as it is.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| failed("make the folder", path, &error))
}

/// Options that make a file for this user alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file in one step: a reader finds the old one or the whole new one.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = serde_json::to_vec(value).map_err(io::Error::from).and_then(|bytes| {
        let mut file = private().write(true).truncate(true).open(&beside)?;
        file.write_all(&bytes)?;
        drop(file);
        std::fs::rename(&beside, path)
    });
    written.map_err(|error| {
        // Only the original failure can be reported.
        let _ = std::fs::remove_file(&beside);
        failed("write", path, &error)
    })
}

/// Reads a file; `None` if it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| failed("understand", path, &error))
}

/// `io`: what could not be done to which file, and why.
pub(crate) fn failed(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Io, format!("cannot {what} {}: {error}", path.display()))
}
