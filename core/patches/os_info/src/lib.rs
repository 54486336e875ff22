//! What `livekit-signaling` takes of the crate `os_info`: the system that a participant tells the server it runs on.
//!
//! The crate itself starts the programs `lsb_release` and `getconf` each time, which on Linux took a quarter of the time of a join.
//! [`sysinfo`] reads files or asks the system.

use std::fmt;

use sysinfo::System;

/// Looks the system up.
pub fn get() -> Info {
    Info { name: Told(System::name()), version: Told(System::os_version()) }
}

/// An operating system.
#[derive(Clone, Debug)]
pub struct Info {
    name: Told,
    version: Told,
}

impl Info {
    /// Which it is: `Debian GNU/Linux`, `Darwin`, `Windows`.
    pub const fn os_type(&self) -> &Told {
        &self.name
    }

    /// Of which version it is: `12`.
    pub const fn version(&self) -> &Told {
        &self.version
    }
}

/// What a system tells of itself; `Unknown` where it does not.
#[derive(Clone, Debug)]
pub struct Told(Option<String>);

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_deref().unwrap_or("Unknown"))
    }
}
