//! Where the state of this user's sessions is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use greenroom_protocol::Error;

use crate::files;

/// The variable that names the state folder.
pub const HOME_VARIABLE: &str = "GREENROOM_HOME";

/// Finds the state folder, and makes it: `GREENROOM_HOME`; else `greenroom` in `XDG_RUNTIME_DIR`,
/// in `XDG_STATE_HOME`, or in `.local/state` of `HOME`; else, where none of them is set, a folder
/// of this user's in the temporary folder.
///
/// # Errors
/// `io`, when it cannot be made; `permission_denied`, when it is not this user's own.
pub fn find() -> Result<PathBuf, Error> {
    let folder = choose(&|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    let folder = std::path::absolute(&folder).map_err(|error| files::failed("find", &folder, &error))?;
    files::make_folder(&folder)?;
    check_owner(&folder)?;
    Ok(folder)
}

fn choose(variable: &dyn Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(home) = variable(HOME_VARIABLE) {
        return home.into();
    }
    // A login that is over, or one that `sudo` kept the variables of, leaves a runtime folder that
    // is no use.
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    if let Some(runtime) = runtime.filter(|folder| folder.is_dir() && check_owner(folder).is_ok()) {
        return runtime.join("greenroom");
    }
    if let Some(state) = variable("XDG_STATE_HOME") {
        return PathBuf::from(state).join("greenroom");
    }
    // On Windows there is no HOME.
    if let Some(home) = variable("HOME").or_else(|| variable("LOCALAPPDATA")) {
        return PathBuf::from(home).join(".local").join("state").join("greenroom");
    }
    std::env::temp_dir().join(format!("greenroom-{}", user()))
}

/// What keeps the folders of users apart in the temporary folder.
#[cfg(unix)]
fn user() -> String {
    rustix::process::geteuid().as_raw().to_string()
}

#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME").unwrap_or_default()
}

/// Refuses a folder that another user owns or may write to: a writer can fake a session.
#[cfg(unix)]
fn check_owner(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;

    use greenroom_protocol::Code;

    let found = fs::metadata(folder).map_err(|error| files::failed("look at", folder, &error))?;
    let denied = |why: &str| {
        let way_out = format!("set {HOME_VARIABLE} to a folder of your own");
        Err(Error::new(Code::PermissionDenied, format!("{} {why}: {way_out}", folder.display())))
    };
    if found.uid() != rustix::process::geteuid().as_raw() {
        return denied("belongs to another user");
    }
    if found.mode() & 0o022 != 0 {
        return denied("can be written to by other users");
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(folder: &Path) -> Result<(), Error> {
    fs::metadata(folder).map(drop).map_err(|error| files::failed("look at", folder, &error))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use super::choose;

    fn chosen(variables: &[(&str, &Path)]) -> PathBuf {
        choose(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value.as_os_str()))
        })
    }

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let runtime = tempfile::tempdir().expect("a folder");
        let all = [
            ("GREENROOM_HOME", Path::new("/g")),
            ("XDG_RUNTIME_DIR", runtime.path()),
            ("XDG_STATE_HOME", Path::new("/s")),
            ("HOME", Path::new("/h")),
        ];
        assert_eq!(chosen(&all), Path::new("/g"));
        assert_eq!(chosen(&all[1..]), runtime.path().join("greenroom"));
        assert_eq!(chosen(&all[2..]), Path::new("/s/greenroom"));
        assert_eq!(chosen(&all[3..]), Path::new("/h/.local/state/greenroom"));
    }

    #[test]
    fn without_any_variable_it_is_in_the_temporary_folder() {
        assert_eq!(chosen(&[]).parent(), Some(std::env::temp_dir().as_path()));
    }

    #[test]
    fn a_runtime_folder_that_is_not_there_is_passed_over() {
        let gone = [("XDG_RUNTIME_DIR", Path::new("/not/there")), ("HOME", Path::new("/h"))];
        assert_eq!(chosen(&gone), Path::new("/h/.local/state/greenroom"));
    }
}
