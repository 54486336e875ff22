//! A test in a process of its own, since which sound there is goes by the process' environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells the child which folder is its own.
const FOLDER: &str = "GREENROOM_TEST_AUDIO";

/// What the child prints, in its folder.
pub(crate) const PRINTED: &str = "printed";

/// How long a test may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs the body of the test `name` in a process in which PulseAudio is looked for in its folder (`pulse`), and ALSA is set up by a file
/// there (`asound.conf`); neither is there until the body makes it. A library in its folder `libraries` hides the system's of that name.
/// Variables of the environment in `changed` lead to another place in the folder, or are not set.
pub(crate) fn in_a_process_of_its_own(
    name: &str,
    changed: &[(&str, Option<&str>)],
    body: impl FnOnce(&Path),
) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return body(&PathBuf::from(folder));
    }
    let folder = tempfile::Builder::new().prefix("greenroom-audio-").tempdir().expect("a folder");
    let libraries = folder.path().join("libraries");
    std::fs::create_dir(&libraries).expect("a folder");
    // Shown where it fails only, and indented, so that nobody takes the child's summary for this program's.
    let printed = folder.path().join(PRINTED);
    let print = std::fs::File::create(&printed).expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .env(FOLDER, folder.path())
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("PULSE_RUNTIME_PATH", folder.path())
        .env("PULSE_SERVER", format!("unix:{}", folder.path().join("pulse").display()))
        .env("ALSA_CONFIG_PATH", folder.path().join("asound.conf"))
        .env("LD_LIBRARY_PATH", libraries)
        .stdin(Stdio::null())
        .stdout(print.try_clone().expect("a file"))
        .stderr(print);
    for (variable, place) in changed {
        match place {
            Some(place) => command.env(variable, folder.path().join(place)),
            None => command.env_remove(variable),
        };
    }
    let mut child = command.spawn().expect("this program again");
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().expect("a child");
                panic!("{name} is not done after {DEADLINE:?}");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if !status.success() {
        let printed = std::fs::read_to_string(printed).unwrap_or_default();
        panic!("{name}: {status}\n    {}", printed.replace('\n', "\n    "));
    }
}

/// Runs the body of the test that this is in, by its path.
macro_rules! isolated {
    ($name:ident, $body:expr) => {
        $crate::support::isolated::isolated!($name, [], $body);
    };
    ($name:ident, $changed:expr, $body:expr) => {
        #[test]
        fn $name() {
            // The program's name is no part of the test's.
            let path = concat!(module_path!(), "::", stringify!($name));
            let name = path.split_once("::").map_or(path, |(_, name)| name);
            $crate::support::isolated::in_a_process_of_its_own(name, &$changed, $body);
        }
    };
}
pub(crate) use isolated;
