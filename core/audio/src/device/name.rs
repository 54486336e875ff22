//! The names of virtual devices.
//!
//! | name | recorded from it | played to it |
//! |---|---|---|
//! | `null` | silence | gone |
//! | `file:PATH[?loop]` | a WAV file, once or over and over | a WAV file of 16 bits |
//! | `tone:HZ[:DBFS]` | a sine, with a peak of -12 dBFS unless given | |
//! | `noise:[KIND:]DBFS[?seed=N]` | white noise, `babble` or `impulses`, with that RMS | |
//! | `loopback:NAME` | what is played to the same name, until that is closed | is recorded there |
//! | `callback` | what a function returns | goes to a function |
//! | `fail:after=TIME[:DEVICE]` | another device (`null` unless given) that is unplugged after `2s` or `500ms` | the same |

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::noise::Kind;

/// The default peak of a tone, in dBFS.
const TONE_DBFS: f32 = -12.0;

/// The highest tone, in Hz.
const HIGHEST: f64 = 192_000.0;

/// The first words of all names.
const KINDS: [&str; 7] = ["null", "file", "tone", "noise", "loopback", "callback", "fail"];

/// A virtual device, as its name describes it.
#[derive(Clone, Debug, PartialEq)]
pub enum VirtualDevice {
    /// Silence, and where it goes.
    Null,
    /// A WAV file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Begins again at its end.
        looped: bool,
    },
    /// A sine.
    Tone {
        /// Its frequency, in Hz.
        hz: f64,
        /// Its peak, in dBFS.
        dbfs: f32,
    },
    /// Noise.
    Noise {
        /// What it sounds like.
        kind: Kind,
        /// Its RMS, in dBFS.
        dbfs: f32,
        /// Which of many.
        seed: u64,
    },
    /// What is played here is recorded there.
    Loopback {
        /// Which of several.
        name: String,
    },
    /// A function.
    Callback,
    /// Another device, which is gone after a time.
    Fail {
        /// How much goes through before.
        after: Duration,
        /// The device.
        device: Box<Self>,
    },
}

/// Why a name is not that of a virtual device, and how one is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no device: {why}; {instead}")]
pub struct NameError {
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
    /// How to write it.
    pub instead: &'static str,
}

impl VirtualDevice {
    /// Reads a name; `None` if it does not begin as one of a virtual device does, so it may be that of a real one.
    ///
    /// # Errors
    /// [`NameError`] if it begins so and goes on wrong.
    pub fn parse(name: &str) -> Option<Result<Self, NameError>> {
        let kind = name.split(':').next().unwrap_or_default();
        KINDS.contains(&kind).then(|| name.parse())
    }
}

impl FromStr for VirtualDevice {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        read(name).map_err(|(why, instead)| NameError { name: name.to_owned(), why, instead })
    }
}

type Read<T> = Result<T, (String, &'static str)>;

fn read(name: &str) -> Read<VirtualDevice> {
    let (kind, rest) = name.split_once(':').map_or((name, None), |(kind, rest)| (kind, Some(rest)));
    match kind {
        "null" => alone(rest, "write null").map(|()| VirtualDevice::Null),
        "callback" => alone(rest, "write callback").map(|()| VirtualDevice::Callback),
        "file" => file(rest.unwrap_or_default()),
        "tone" => tone(rest.unwrap_or_default()),
        "noise" => noise(rest.unwrap_or_default()),
        "loopback" => loopback(rest.unwrap_or_default()),
        "fail" => fail(rest.unwrap_or_default()),
        other => Err((
            format!("there is no virtual device {other:?}"),
            "there are null, file:PATH, tone:HZ, noise:KIND:DBFS, loopback:NAME, callback and fail:after=TIME",
        )),
    }
}

fn alone(rest: Option<&str>, instead: &'static str) -> Read<()> {
    match rest {
        None => Ok(()),
        Some(rest) => Err((format!("nothing may follow the name, but {rest:?} does"), instead)),
    }
}

fn file(rest: &str) -> Read<VirtualDevice> {
    const INSTEAD: &str = "write file:PATH or file:PATH?loop; a path with a ? in it ends with another ?";
    let (path, option) = rest.rsplit_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(("it names no file".to_owned(), INSTEAD));
    }
    match option {
        "" | "loop" => Ok(VirtualDevice::File { path: path.into(), looped: option == "loop" }),
        other => Err((format!("{other:?} is no option of a file"), INSTEAD)),
    }
}

fn tone(rest: &str) -> Read<VirtualDevice> {
    const INSTEAD: &str = "write tone:440, or tone:440:-12 for its peak in dBFS";
    let (hz, level) = rest.split_once(':').map_or((rest, None), |(hz, level)| (hz, Some(level)));
    let hz = hz
        .parse()
        .ok()
        .filter(|hz| (1.0..=HIGHEST).contains(hz))
        .ok_or_else(|| (format!("{hz:?} is not a frequency from 1 to {HIGHEST} Hz"), INSTEAD))?;
    let dbfs = level.map_or(Ok(TONE_DBFS), |level| dbfs(level, INSTEAD))?;
    Ok(VirtualDevice::Tone { hz, dbfs })
}

fn noise(rest: &str) -> Read<VirtualDevice> {
    const INSTEAD: &str =
        "write noise:-40 or noise:white:-40, with white, babble or impulses; ?seed=7 makes it another";
    let (rest, option) = rest.split_once('?').map_or((rest, None), |(rest, option)| (rest, Some(option)));
    let seed = match option {
        None => 0,
        Some(option) => option
            .strip_prefix("seed=")
            .and_then(|seed| seed.parse().ok())
            .ok_or_else(|| (format!("{option:?} is no option of noise"), INSTEAD))?,
    };
    let (kind, level) = match rest.split_once(':') {
        Some((kind, level)) => {
            (kind.parse().map_err(|error: crate::noise::NoSuchNoise| (error.to_string(), INSTEAD))?, level)
        }
        None => (Kind::White, rest),
    };
    Ok(VirtualDevice::Noise { kind, dbfs: dbfs(level, INSTEAD)?, seed })
}

fn loopback(rest: &str) -> Read<VirtualDevice> {
    if rest.is_empty() {
        return Err(("it does not say which loopback".to_owned(), "write loopback:NAME, with any name"));
    }
    Ok(VirtualDevice::Loopback { name: rest.to_owned() })
}

fn fail(rest: &str) -> Read<VirtualDevice> {
    const INSTEAD: &str = "write fail:after=2s, or fail:after=500ms:tone:440 for a tone until then";
    let after =
        rest.strip_prefix("after=").ok_or_else(|| ("it does not say after how long".to_owned(), INSTEAD))?;
    let (after, device) =
        after.split_once(':').map_or((after, None), |(after, device)| (after, Some(device)));
    let after = duration(after).ok_or_else(|| (format!("{after:?} is not a time in s or ms"), INSTEAD))?;
    let device = Box::new(device.map_or(Ok(VirtualDevice::Null), read)?);
    Ok(VirtualDevice::Fail { after, device })
}

fn dbfs(text: &str, instead: &'static str) -> Read<f32> {
    let level = text.parse().ok().filter(|level| (-200.0..=0.0).contains(level));
    level.ok_or_else(|| (format!("{text:?} is not a level from -200 to 0 dBFS"), instead))
}

/// `2s`, `0.5s`, `500ms`; at most a day.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

impl fmt::Display for VirtualDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::File { path, looped: true } => write!(f, "file:{}?loop", path.display()),
            Self::File { path, .. } => {
                let path = path.display().to_string();
                write!(f, "file:{path}{}", if path.contains('?') { "?" } else { "" })
            }
            Self::Tone { hz, dbfs } => write!(f, "tone:{hz}:{dbfs}"),
            Self::Noise { kind, dbfs, seed } => write!(f, "noise:{kind}:{dbfs}?seed={seed}"),
            Self::Loopback { name } => write!(f, "loopback:{name}"),
            Self::Callback => f.write_str("callback"),
            Self::Fail { after, device } => write!(f, "fail:after={}s:{device}", after.as_secs_f64()),
        }
    }
}
