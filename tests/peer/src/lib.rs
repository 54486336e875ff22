//! For tests: where the scripted agent is, and how it is started as an agent.

use std::path::{Path, PathBuf};

/// How many samples of sound, at 48 kHz, the scripted agent hears before it answers aloud, and answers with: half a second.
pub const SPOKEN: usize = 24_000;

/// The built binary of the scripted agent.
///
/// # Panics
/// When it was not built: `cargo build -p greenroom-test-peer` in the same profile; `make test` does.
pub fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("GREENROOM_TEST_PEER") {
        return given.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // target/PROFILE/deps/TEST, or target/PROFILE/BINARY.
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("greenroom-test-peer"))
        .find(|p| p.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "the scripted agent is not built: run `cargo build -p greenroom-test-peer` in the profile of {}",
            test.display()
        )
    })
}

/// An agent file in `folder` for the scripted agent to stand for.
///
/// # Panics
/// When the folder cannot be written.
pub fn agent_file(folder: &Path) -> PathBuf {
    let file = folder.join("agent.py");
    std::fs::write(&file, "# The scripted agent stands for this file.\n")
        .expect("a temporary folder can be written");
    file
}
