//! The sound systems of this machine, and their devices.
//!
//! `cpal::default_host` panics where there is none, so it is never called: the systems are asked in cpal's order, which on Linux is
//! PulseAudio (PipeWire answers for it), then ALSA. ALSA's list has much that is no device, and shows PulseAudio's devices once more; it is
//! asked only where nothing else answers, or for an id of its own.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{DeviceId, HostId};

use super::{config, quiet, within};
use crate::devices::{Device, Direction};
use crate::error::AudioError;

/// How long the systems may take to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// What ALSA lists that is no device: converters, and parts of devices for special uses.
const NO_DEVICES: [&str; 21] = [
    "null",
    "lavrate",
    "samplerate",
    "speexrate",
    "speex",
    "jack",
    "oss",
    "upmix",
    "vdownmix",
    "a52",
    "usbstream",
    "dmix",
    "dsnoop",
    "hw",
    "front",
    "rear",
    "center_lfe",
    "side",
    "iec958",
    "sysdefault",
    "modem",
];

/// A device that can be opened.
pub(crate) struct Found {
    /// What it is called.
    pub(crate) id: String,
    /// Whether it is opened as the system's default.
    pub(crate) default: bool,
    pub(super) device: cpal::Device,
}

/// Lists the devices of the first system that answers.
///
/// # Errors
/// [`AudioError::Unavailable`] if none does.
pub(crate) fn list() -> Result<Vec<Device>, AudioError> {
    answer(|| {
        let (host, devices) = first()?;
        let default = |direction| default_of(&host, direction).and_then(|device| device.id().ok());
        let defaults =
            [(Direction::Input, default(Direction::Input)), (Direction::Output, default(Direction::Output))];
        let mut found = Vec::new();
        for device in devices.iter().filter(|device| is_device(device)) {
            for (direction, default) in &defaults {
                found.extend(describe(device, *direction, default.as_ref()));
            }
        }
        found.sort_by_key(|device: &Device| device.direction == Direction::Output);
        for direction in [Direction::Input, Direction::Output] {
            let listed = found.iter_mut().filter(|device| device.direction == direction);
            listed.enumerate().for_each(|(number, device)| device.number = number);
        }
        // A server that was not asked may well have some.
        if found.is_empty()
            && let Some(overlooked) = overlooked()
        {
            return Err(AudioError::Unavailable(format!("there is no device; {overlooked}")));
        }
        Ok(found)
    })
}

/// Finds the default device; `None` if there is none.
///
/// # Errors
/// [`AudioError::Unavailable`] if no system answers.
pub(crate) fn find_default(direction: Direction) -> Result<Option<Found>, AudioError> {
    answer(move || {
        let (host, _) = first()?;
        Ok(default_of(&host, direction).map(|device| Found { id: id_of(&device), default: true, device }))
    })
}

/// Finds a device by its id; `None` if there is none, or it is no id.
///
/// # Errors
/// [`AudioError::Unavailable`] if its system does not answer.
pub(crate) fn find(id: &str) -> Result<Option<Found>, AudioError> {
    let Ok(id) = DeviceId::from_str(id) else { return Ok(None) };
    answer(move || {
        let (_, devices) = ask(id.host()).map_err(|error| unavailable(&[(id.host(), error)]))?;
        let device = devices.into_iter().find(|device| device.id().ok().as_ref() == Some(&id));
        Ok(device.map(|device| Found { id: id_of(&device), default: false, device }))
    })
}

fn id_of(device: &cpal::Device) -> String {
    device.id().map_or_else(|error| error.to_string(), |id| id.to_string())
}

fn default_of(host: &cpal::Host, direction: Direction) -> Option<cpal::Device> {
    let device = match direction {
        Direction::Input => host.default_input_device(),
        Direction::Output => host.default_output_device(),
    }?;
    // ALSA always names one, whether there is a card or not.
    let is_real = !is_alsa(host.id()) || config::usual(&device, direction).is_ok();
    is_real.then_some(device)
}

/// Whether it is a device at all, rather than something that ALSA makes of one.
fn is_device(device: &cpal::Device) -> bool {
    let Ok(id) = device.id() else { return false };
    let first = id.id().split(':').next().unwrap_or_default();
    !is_alsa(id.host()) || !(NO_DEVICES.contains(&first) || first.starts_with("surround"))
}

pub(super) fn is_alsa(host: HostId) -> bool {
    host.to_string() == "alsa"
}

pub(super) fn is_pulseaudio(host: HostId) -> bool {
    host.to_string() == "pulseaudio"
}

/// What can be told about a device; `None` if it does not work in that direction.
fn describe(device: &cpal::Device, direction: Direction, default: Option<&DeviceId>) -> Option<Device> {
    let id = device.id().ok()?;
    let config = config::usual(device, direction).ok()?;
    Some(Device {
        // It has one once all are known.
        number: 0,
        name: device.description().map_or_else(|_| id.id().to_owned(), |told| told.name().to_owned()),
        direction,
        default: default == Some(&id),
        id: id.to_string(),
        rate: config.rate,
        rates: config.rates,
        channels: config.channels,
    })
}

type Answer = (Arc<cpal::Host>, Vec<cpal::Device>);

/// The first system that answers, and its devices.
fn first() -> Result<Answer, AudioError> {
    let mut errors = Vec::new();
    for &id in cpal::ALL_HOSTS {
        match ask(id) {
            Ok(found) => return Ok(found),
            Err(error) => errors.push((id, error)),
        }
    }
    Err(unavailable(&errors))
}

/// Asks a system for its devices. The connection to PulseAudio is kept: cpal's client leaves a thread and its descriptors behind for each one
/// that is dropped without a stream. One that is broken is made anew.
fn ask(id: HostId) -> Result<Answer, cpal::Error> {
    static KEPT: Mutex<Option<(u32, HostId, Arc<cpal::Host>)>> = Mutex::new(None);
    quiet(&id.to_string());
    let keep = is_pulseaudio(id);
    let process = std::process::id();
    if keep {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A fork has the connection, but not the thread behind it.
        if let Some((_, _, host)) = kept.filter(|(owner, of, _)| (*owner, *of) == (process, id))
            && let Ok(devices) = host.devices()
        {
            return Ok((host, devices.collect()));
        }
    }
    let host = Arc::new(cpal::host_from_id(id)?);
    let devices = host.devices()?.collect();
    if keep {
        let before =
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).replace((process, id, Arc::clone(&host)));
        if before.as_ref().is_some_and(|(owner, ..)| *owner != process) {
            // It belongs to the parent, whose threads may have held its locks.
            std::mem::forget(before);
        }
    }
    Ok((host, devices))
}

/// Runs it where it may hang, within a deadline.
fn answer<R: Send + 'static>(
    run: impl FnOnce() -> Result<R, AudioError> + Send + 'static,
) -> Result<R, AudioError> {
    within(ANSWER, run).unwrap_or_else(|| {
        Err(AudioError::Timeout { what: "asking for the devices".to_owned(), after: ANSWER })
    })
}

/// Why no system can be reached, and what to install.
fn unavailable(errors: &[(HostId, cpal::Error)]) -> AudioError {
    let why: Vec<String> = errors.iter().map(|(id, error)| format!("{id}: {error}")).collect();
    let instead = if cfg!(target_os = "linux") {
        "start PulseAudio or PipeWire (PULSE_SERVER=unix:PATH says where it is, if not in XDG_RUNTIME_DIR), or install ALSA's library (Debian, Ubuntu: apt install libasound2; Fedora: dnf install alsa-lib; Alpine: \
         apk add alsa-lib); a virtual device such as tone:440 or file:in.wav needs neither"
    } else {
        "see whether the system's sound works at all; a virtual device such as tone:440 or file:in.wav needs none"
    };
    let instead = overlooked().unwrap_or_else(|| instead.to_owned());
    AudioError::Unavailable(format!("no sound system can be reached ({}); {instead}", why.join("; ")))
}

/// Where a PulseAudio is that its client overlooks, and what to do: of the places that the environment names the client takes the first, and
/// where nothing is there it looks no further.
fn overlooked() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let place = |name: &str, rest: &str| std::env::var_os(name).map(|value| PathBuf::from(value).join(rest));
    let named = std::env::var("PULSE_SERVER").ok();
    let named = named.and_then(|server| server.strip_prefix("unix:").map(PathBuf::from));
    let places = [
        ("PULSE_SERVER", named),
        ("PULSE_RUNTIME_PATH", place("PULSE_RUNTIME_PATH", "pulse/native")),
        ("XDG_RUNTIME_DIR", place("XDG_RUNTIME_DIR", "pulse/native")),
    ];
    let mut places = places.into_iter().filter_map(|(name, path)| Some((name, path?)));
    let (name, first) = places.next().filter(|(_, first)| !first.exists())?;
    // PulseAudio's own programs mean another place by that variable.
    let there = places.map(|(_, path)| path).chain(place("PULSE_RUNTIME_PATH", "native"));
    let there = there.into_iter().find(|path| path.exists())?;
    let (first, there) = (first.display(), there.display());
    Some(format!(
        "PulseAudio is at {there}, but {name} leads to {first}, where nothing is, and the search ends there: set PULSE_SERVER=unix:{there}, or unset {name}"
    ))
}
