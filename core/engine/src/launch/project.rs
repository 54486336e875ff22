//! The agent's file and the project around it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{AgentSpec, Kind, LaunchError};

/// Where an agent's file is looked for when none is named: the usual names of both SDKs' starters first, in the
/// order that `lk agent debugger` documents, then the rest and what the Python SDK tries by itself.
const DEFAULT_ENTRIES: &[&str] = &[
    "agent.py",
    "src/agent.py",
    "main.ts",
    "src/main.ts",
    "src/main.js",
    "main.js",
    "agent.ts",
    "src/agent.ts",
    "agent.js",
    "src/agent.js",
    "agent.mjs",
    "main.mjs",
    "main.py",
    "app.py",
    "app/main.py",
    "app/app.py",
    "app/agent.py",
];

/// What makes a folder the root of a project of that language.
fn root_marks(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Python => &[
            "pyproject.toml",
            "uv.lock",
            ".venv",
            "venv",
            "env/pyvenv.cfg",
            "setup.py",
            "requirements.txt",
            "Pipfile",
            "environment.yml",
            "environment.yaml",
            "pixi.toml",
        ],
        Kind::Node => &["package.json", "deno.json", "deno.jsonc"],
    }
}

/// An agent's file in its project.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) kind: Kind,
    /// The file's full path, with the folders' symbolic links resolved and the file's own kept.
    pub(super) file: PathBuf,
    /// The project's root folder, an ancestor of the file.
    pub(super) root: PathBuf,
    /// The root and the folders above it that still belong to the same work: up to the one with `.git`, and below
    /// the home folder.
    pub(super) above: Vec<PathBuf>,
}

impl Project {
    pub(super) fn find(spec: &AgentSpec) -> Result<Self, LaunchError> {
        let named = match &spec.entry {
            Some(entry) => spec.folder().join(entry),
            None => default_entry(spec.folder())?,
        };
        let (file, kind) = check(&named)?;
        let home = spec.var("HOME").map(PathBuf::from);
        let folders = folders_of_work(&file, home.as_deref());
        let is_root = |folder: &&PathBuf| {
            // A link that leads nowhere is a mark too: a broken environment is the project's all the same.
            root_marks(kind).iter().any(|mark| fs::symlink_metadata(folder.join(mark)).is_ok())
        };
        let root_at =
            folders.iter().find(is_root).and_then(|root| folders.iter().position(|folder| folder == root));
        let above = folders[root_at.unwrap_or(0)..].to_vec();
        let root = above[0].clone();
        Ok(Self { kind, file, root, above })
    }

    /// The file, relative to the root.
    pub(super) fn entry(&self) -> PathBuf {
        self.file.strip_prefix(&self.root).unwrap_or(&self.file).to_owned()
    }
}

/// The first of the usual names that there is; one that never mentions LiveKit only when there is no other, since
/// `main.py` and `app.py` are everybody's names.
fn default_entry(dir: &Path) -> Result<PathBuf, LaunchError> {
    if !dir.is_dir() {
        return Err(LaunchError::NoSuchFile { path: dir.to_owned() });
    }
    let there = || DEFAULT_ENTRIES.iter().map(|name| dir.join(name)).filter(|path| path.is_file());
    let mentions_livekit = |path: &PathBuf| {
        let text = fs::read(path).unwrap_or_default();
        memchr::memmem::find(&text, b"livekit").is_some()
    };
    there().find(mentions_livekit).or_else(|| there().next()).ok_or_else(|| LaunchError::NoDefaultEntry {
        dir: dir.to_owned(),
        looked_for: DEFAULT_ENTRIES.join(", "),
    })
}

/// The file is there, of a known language, and can be read.
fn check(path: &Path) -> Result<(PathBuf, Kind), LaunchError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(LaunchError::NoSuchFile { path: path.to_owned() });
        }
        Err(source) => return Err(LaunchError::Unreadable { path: path.to_owned(), source }),
    };
    if about.is_dir() {
        return Err(LaunchError::IsFolder { path: path.to_owned(), holds: default_entry(path).ok() });
    }
    let kind = Kind::of(path).filter(|_| about.is_file());
    let kind = kind.ok_or_else(|| LaunchError::NotSource { path: path.to_owned() })?;
    let unreadable = |source| LaunchError::Unreadable { path: path.to_owned(), source };
    File::open(path).map_err(unreadable)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(LaunchError::NoSuchFile { path: path.to_owned() });
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok((fs::canonicalize(folder).map_err(unreadable)?.join(name), kind))
}

/// The file's folder and its ancestors, nearest first, up to and with the one that holds `.git`, and not as far as
/// the home folder unless the file is in it. What lies beyond belongs to something else.
fn folders_of_work(file: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    let mut folders = Vec::new();
    for folder in file.ancestors().skip(1) {
        if !folders.is_empty() && Some(folder) == home.as_deref() {
            break;
        }
        folders.push(folder.to_owned());
        if folder.join(".git").exists() {
            break;
        }
    }
    folders
}
