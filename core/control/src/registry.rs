//! The sessions of this user: which there are, which live, which ended and why.
//!
//! Each session has a folder. The holder of its lock is the session's daemon; the kernel releases
//! the lock however the daemon ends, so a dead daemon's files never block a new session.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use greenroom_protocol::{Code, Error};

use crate::files;
use crate::home;
use crate::name::SessionName;
use crate::record::{Ended, Kept, Record};

/// How long what a session left behind is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long an attempt to start a session may be under way.
const ATTEMPT_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a reader may hold a lock.
const LOOKING: Duration = Duration::from_secs(1);

/// The state folder.
#[derive(Clone, Debug)]
pub struct Registry {
    root: PathBuf,
}

/// The folder of one session, whether it lives or not.
#[derive(Clone, Debug)]
pub struct Folder {
    name: SessionName,
    path: PathBuf,
}

/// A session as its folder describes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Found {
    /// It lives.
    Live(Record),
    /// Its daemon lives and has written nothing down yet.
    Starting,
    /// It ended without being asked to, and said why.
    Ended(Ended),
    /// Its daemon ended without a word: it was killed, or the machine went down.
    Vanished(Record),
    /// There is none, and no trace of one.
    Unknown,
}

/// The right to be the daemon of a session, for as long as it is held.
#[derive(Debug)]
pub struct Lock {
    folder: Folder,
    file: File,
}

impl Registry {
    /// The state folder of this user, see [`home::find`].
    ///
    /// # Errors
    /// When there is none and none can be made.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { root: home::find()? })
    }

    /// The state folder at `root`, which is there.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a session.
    pub fn folder(&self, name: &SessionName) -> Folder {
        Folder { name: name.clone(), path: self.root.join(name.as_str()) }
    }

    /// Every session there is a trace of, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<(SessionName, Found)>, Error> {
        let entries = fs::read_dir(&self.root).map_err(|error| files::failed("read", &self.root, &error))?;
        let mut names: Vec<SessionName> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        let found = names.into_iter().filter_map(|name| {
            // What cannot be read is no reason to show nothing of the rest.
            let found = self.folder(&name).find().ok()?;
            (!matches!(found, Found::Unknown)).then_some((name, found))
        });
        Ok(found.collect())
    }

    /// The session that lives under this name.
    ///
    /// # Errors
    /// `no_session`, with the reason if it is known.
    pub fn live(&self, name: &SessionName) -> Result<Record, Error> {
        self.folder(name).find()?.live(name)
    }

    /// Removes sessions that ended a week ago, and incomplete folders.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let at = entry.metadata().and_then(|data| data.modified());
            let older_than = |age| at.as_ref().is_ok_and(|at| is_old(*at, age));
            if name.starts_with(GONE) || (name.starts_with(ATTEMPT) && older_than(ATTEMPT_KEPT)) {
                // Another process may be removing it already.
                let _ = fs::remove_dir_all(entry.path());
            } else if older_than(KEPT)
                && let Ok(name) = name.parse()
                && let Ok(lock) = self.folder(&name).lock()
            {
                lock.remove();
            }
        }
    }

    /// A new folder for one attempt to start a session.
    pub(crate) fn attempt(&self) -> Result<PathBuf, Error> {
        let folder = self.unique(ATTEMPT)?;
        files::make_folder(&folder)?;
        Ok(folder)
    }

    fn unique(&self, prefix: &str) -> Result<PathBuf, Error> {
        unique(&self.root, prefix)
    }
}

/// What the names of folders begin with that belong to no session.
const ATTEMPT: &str = ".start-";
const GONE: &str = ".gone-";

fn unique(root: &Path, prefix: &str) -> Result<PathBuf, Error> {
    let number = getrandom::u64()
        .map_err(|error| Error::new(Code::Io, format!("the system returned no random bytes: {error}")))?;
    Ok(root.join(format!("{prefix}{number:016x}")))
}

fn is_old(at: SystemTime, age: Duration) -> bool {
    SystemTime::now().duration_since(at).is_ok_and(|since| since > age)
}

impl Folder {
    /// The session.
    pub const fn name(&self) -> &SessionName {
        &self.name
    }

    /// Where it is. It may not be there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's log, unless another path was requested.
    pub fn log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// The daemon's log.
    pub fn daemon_log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    /// What there is.
    ///
    /// # Errors
    /// When what is written down cannot be read.
    pub fn find(&self) -> Result<Found, Error> {
        let live = self.is_live()?;
        let record = files::read_json(&self.record());
        if live {
            // A daemon that has only just begun may not have taken away what the one before it
            // left.
            return Ok(record?.map_or(Found::Starting, Found::Live));
        }
        if let Some(ended) = files::read_json(&self.ended())? {
            return Ok(Found::Ended(ended));
        }
        Ok(record?.map_or(Found::Unknown, Found::Vanished))
    }

    /// Takes the lock: from now on this process is the session's daemon. What another daemon left
    /// is removed.
    ///
    /// # Errors
    /// `already_running`, when another daemon lives.
    pub fn lock(&self) -> Result<Lock, Error> {
        let until = Instant::now() + LOOKING;
        loop {
            files::make_folder(&self.path)?;
            match self.try_lock() {
                Ok(Some(file)) => {
                    let lock = Lock { folder: self.clone(), file };
                    lock.clear()?;
                    return Ok(lock);
                }
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) => return Err(self.already_running()),
                // The folder was taken away while it was being locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => {}
                Err(error) => return Err(files::failed("lock", &self.path, &error)),
            }
        }
    }

    /// The error of a second start.
    pub fn already_running(&self) -> Error {
        let name = &self.name;
        let way_out = format!(
            "talk to it, end it with `greenroom end -n {name}`, or choose another name for the new one"
        );
        let running = match files::read_json::<Record>(&self.record()) {
            Ok(Some(record)) => format!("a session is already running on 127.0.0.1:{}", record.port),
            _ => "a session is already starting".to_owned(),
        };
        Error::new(Code::AlreadyRunning, format!("{running} under the name {name}; {way_out}"))
    }

    /// None while another process holds the lock, or if the lock belongs to a removed folder.
    fn try_lock(&self) -> io::Result<Option<File>> {
        let file = files::private().append(true).open(self.lock_file())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let locked = same_file::Handle::from_file(file.try_clone()?)?;
        let there = same_file::Handle::from_path(self.lock_file())?;
        Ok((locked == there).then_some(file))
    }

    fn is_live(&self) -> Result<bool, Error> {
        let file = match File::open(self.lock_file()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(files::failed("open", &self.lock_file(), &error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(files::failed("lock", &self.lock_file(), &error)),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    fn record(&self) -> PathBuf {
        self.path.join("session.json")
    }

    /// What a session that has ended left to read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept(&self) -> Result<Kept, Error> {
        Ok(files::read_json(&self.kept_file())?.unwrap_or_default())
    }

    /// Removes what a session that has ended left. Returns whether there was one.
    ///
    /// # Errors
    /// `already_running`, when a session lives under the name.
    pub fn forget(&self) -> Result<bool, Error> {
        if !matches!(self.find()?, Found::Ended(_) | Found::Vanished(_)) {
            return Ok(false);
        }
        self.lock()?.remove();
        Ok(true)
    }

    fn kept_file(&self) -> PathBuf {
        self.path.join("kept.json")
    }

    fn ended(&self) -> PathBuf {
        self.path.join("ended.json")
    }
}

impl Found {
    /// The session, if it lives.
    ///
    /// # Errors
    /// `no_session`, with the reason if it is known.
    pub fn live(self, name: &SessionName) -> Result<Record, Error> {
        let start = if *name == SessionName::default() {
            "start one with `greenroom start`".to_owned()
        } else {
            format!("start one with `greenroom start -n {name}`, or see `greenroom list`")
        };
        let error = match self {
            Self::Live(record) => return Ok(record),
            Self::Starting => format!(
                "the session {name} is still starting; wait until `greenroom start` says that it is ready"
            ),
            Self::Ended(ended) => {
                format!(
                    "the session {name} has ended at {}: {}; its log is {}; {start}",
                    ended.at,
                    ended.error.message,
                    ended.log_path.display()
                )
            }
            Self::Vanished(record) => format!(
                "the session {name} is gone: its daemon (process {}) was killed or has crashed; its log is {}; {start}",
                record.pid,
                record.daemon_log_path.display()
            ),
            Self::Unknown => format!("there is no session {name}; {start}"),
        };
        Err(Error::new(Code::NoSession, error))
    }
}

impl Lock {
    /// The session's folder.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes down that the session lives, and how to reach it.
    ///
    /// # Errors
    /// `io`.
    pub fn write(&self, record: &Record) -> Result<(), Error> {
        files::write_json(&self.folder.record(), record)
    }

    /// Leaves what there is to read of the session once it has ended.
    ///
    /// # Errors
    /// `io`.
    pub fn keep(&self, kept: &Kept) -> Result<(), Error> {
        files::write_json(&self.folder.kept_file(), kept)
    }

    /// Lets go, and leaves a note of why the session ended.
    ///
    /// # Errors
    /// `io`.
    pub fn leave(self, ended: &Ended) -> Result<(), Error> {
        files::write_json(&self.folder.ended(), ended)?;
        remove_if_there(&self.folder.record())
    }

    /// Lets go, and leaves nothing.
    pub fn remove(self) {
        // Removed in one step, so that no process finds half a folder or creates new files in it. A
        // lock taken on the old file is recognized as one of a removed folder.
        let Some(root) = self.folder.path.parent() else { return };
        let Ok(gone) = unique(root, GONE) else { return };
        if fs::rename(&self.folder.path, &gone).is_ok() {
            // The next sweep takes what cannot be removed now.
            let _ = fs::remove_dir_all(&gone);
        }
        drop(self.file);
    }

    fn clear(&self) -> Result<(), Error> {
        let folder = &self.folder;
        for file in [folder.record(), folder.ended(), folder.kept_file(), folder.log(), folder.daemon_log()] {
            remove_if_there(&file)?;
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files::failed("remove", path, &error)),
        _ => Ok(()),
    }
}
