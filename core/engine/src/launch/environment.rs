//! Virtual environments as they lie in folders: absent, usable, or there and of no use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::interpreter::{env_python, quoted};

/// Folders of a project that are environments by their name, in the order in which they are looked for: `.venv` is
/// everybody's, `venv` and `env` are those of the manuals, the rest are of `.gitignore` templates and tools.
pub(super) const NAMES: &[&str] =
    &[".venv", "venv", "env", "ENV", ".env", "virtualenv", ".conda", ".pixi/envs/default"];

/// What a folder is as an environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Environment {
    /// There is no environment.
    Absent,
    /// Its interpreter.
    Usable(PathBuf),
    /// There is one whose interpreter cannot run: what is wrong, as the end of a sentence about it, and the command that
    /// mends it, where making it anew is not the only way.
    Unusable(String, Option<String>),
}

impl Environment {
    /// Looks at `path`, a folder or what stands in the place of one.
    pub(super) fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => Self::in_folder(path),
            // Tools leave a file `.venv` that names the folder. A file `.env` is something else.
            Ok(_) => named_in_file(path).map_or(Self::Absent, |folder| Self::in_folder(&folder)),
            Err(error) if is_absent(&error) => match missing_end(path) {
                Some(end) => unusable(format!("is a link to {}, which is not there", end.display())),
                None => Self::Absent,
            },
            Err(error) => unusable(format!("cannot be read ({error})")),
        }
    }

    fn in_folder(folder: &Path) -> Self {
        let python = env_python(folder);
        let name = python.strip_prefix(folder).unwrap_or(&python).display().to_string();
        match fs::metadata(&python) {
            Ok(about) if !about.is_file() => unusable(format!("has a {name} that is no file")),
            Ok(about) if !is_executable(&about) => Self::Unusable(
                format!("has a {name} that cannot be executed"),
                Some(format!("chmod +x {}", quoted(&python))),
            ),
            Ok(_) => Self::Usable(python),
            Err(error) if is_absent(&error) => match missing_end(&python) {
                Some(end) => {
                    unusable(format!("has a {name} that links to {}, which is not there", end.display()))
                }
                None => Self::without_python(folder, &name),
            },
            Err(error) => unusable(format!("has a {name} that cannot be read ({error})")),
        }
    }

    fn without_python(folder: &Path, name: &str) -> Self {
        let of_other_system = if cfg!(windows) { "bin/python" } else { "Scripts/python.exe" };
        if folder.join(of_other_system).exists() {
            unusable("was made on another system".to_owned())
        } else if folder.join("pyvenv.cfg").is_file() || folder.ends_with(".venv") {
            unusable(format!("has no {name}"))
        } else {
            Self::Absent
        }
    }
}

fn unusable(wrong: String) -> Environment {
    Environment::Unusable(wrong, None)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Where a chain of links ends that ends nowhere. None when `path` is no link.
fn missing_end(path: &Path) -> Option<PathBuf> {
    /// More links than systems follow.
    const MOST: usize = 64;
    let mut at = path.to_owned();
    for _ in 0..MOST {
        let Ok(next) = fs::read_link(&at) else { break };
        at = at.parent().unwrap_or(Path::new("")).join(next);
    }
    (at != path).then_some(at)
}

/// The folder that the first line of a small file names.
fn named_in_file(file: &Path) -> Option<PathBuf> {
    const LONGEST: u64 = 4096;
    if !file.ends_with(".venv") {
        return None;
    }
    let is_small = fs::metadata(file).is_ok_and(|about| about.is_file() && about.len() <= LONGEST);
    let text = is_small.then(|| fs::read_to_string(file).ok())??;
    let folder = file.parent()?.join(text.lines().next()?.trim());
    (folder.is_dir() && env_python(&folder).exists()).then_some(folder)
}

#[cfg(unix)]
pub(super) fn is_executable(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    about.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
pub(super) fn is_executable(_about: &fs::Metadata) -> bool {
    true
}
