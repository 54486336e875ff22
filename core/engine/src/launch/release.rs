//! Version numbers, as far as "is it new enough" needs them: Python's, npm's and Node's alike.

use std::fmt;

/// The release part of a version, and whether it is a final release. A release candidate of 1.6.0 comes before 1.6.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    major: u32,
    minor: u32,
    patch: u32,
    is_final: bool,
}

impl Release {
    pub(super) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, is_final: true }
    }

    /// Reads `1.6`, `1.6.0`, `1.6.0rc1`, `1.6.0.dev3`, `1.6.0.post1`, `1.6.0+local`, `1.6.0-beta.2`, `v22.6.0`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let is_release = |c: char| c.is_ascii_digit() || c == '.';
        let (numbers, rest) = text.split_at(text.find(|c| !is_release(c)).unwrap_or(text.len()));
        let mut numbers = numbers.split('.').filter(|number| !number.is_empty()).map(str::parse::<u32>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next().transpose().ok()?.unwrap_or(0);
        let patch = numbers.next().transpose().ok()?.unwrap_or(0);
        let is_final = rest.is_empty() || rest.starts_with('+') || rest.starts_with("post");
        Some(Self { major, minor, patch, is_final })
    }

    pub(super) fn major(self) -> u32 {
        self.major
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn versions_of_both_registries_are_put_in_order() {
        let minimum = Release::new(1, 6, 0);
        for old in ["1.5.99", "0.12", "1.6.0rc1", "1.6.0.dev3", "1.6.0-beta.2", "1"] {
            assert!(Release::parse(old).expect(old) < minimum, "{old}");
        }
        for new in ["1.6", "1.6.0", "1.6.0.post1", "1.6.0+local", "1.6.1rc1", "v1.8.9", "2.0.0-rc.1"] {
            assert!(Release::parse(new).expect(new) >= minimum, "{new}");
        }
        for none in ["", "x", "tsx v4.19.2", "99999999999"] {
            assert_eq!(Release::parse(none), None, "{none}");
        }
    }
}
