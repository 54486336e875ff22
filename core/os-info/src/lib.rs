//! What `livekit-signaling` takes of the crate `os_info`: the system that a participant tells the server it runs on.
//!
//! The crate itself starts the programs `lsb_release` and `getconf` each time, which on Linux took a quarter of the time of a join.
//! [`sysinfo`] reads files or asks the system.

use std::fmt;

use sysinfo::System;

/// Looks the system up.
pub fn get() -> Info {
    Info { name: Name(System::name()), version: Version(System::os_version()) }
}

/// An operating system.
#[derive(Clone, Debug)]
pub struct Info {
    name: Name,
    version: Version,
}

impl Info {
    /// Which it is: `Debian GNU/Linux`, `Darwin`, `Windows`.
    pub const fn os_type(&self) -> &Name {
        &self.name
    }

    /// Of which version it is: `12`.
    pub const fn version(&self) -> &Version {
        &self.version
    }
}

/// The name of an operating system; `Unknown` where it does not tell.
#[derive(Clone, Debug)]
pub struct Name(Option<String>);

/// The version of an operating system; `Unknown` where it does not tell.
#[derive(Clone, Debug)]
pub struct Version(Option<String>);

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        known(self.0.as_deref(), formatter)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        known(self.0.as_deref(), formatter)
    }
}

fn known(text: Option<&str>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    formatter.write_str(text.unwrap_or("Unknown"))
}
