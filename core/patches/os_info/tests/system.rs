//! The system that the tests run on has a name.

use std::fs;

#[test]
fn a_system_says_what_it_is() {
    let info = os_info::get();
    assert_ne!(info.os_type().to_string(), "Unknown");
    // os-release(5); systems without versions leave it out.
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if let Some(version) = release.lines().find_map(|line| line.strip_prefix("VERSION_ID=")) {
        assert_eq!(info.version().to_string(), version.trim_matches(['"', '\'']));
    }
}
