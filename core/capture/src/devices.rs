//! The list of devices, and the selection of one.

use std::fmt;

use greenroom_audio::VirtualDevice;
use serde::Serialize;

use crate::error::AudioError;
use crate::real::{self, Found};

/// The name of the device that the system prefers.
const DEFAULT: &str = "default";

/// Whether a device is recorded from or played to. One that does both is listed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It is recorded from.
    Input,
    /// It is played to.
    Output,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// A real device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its place among those of its direction, from 0. It is opened by this too, as long as the list stays the same.
    pub number: usize,
    /// What it is opened by. It stays the same as long as the device is plugged in at the same place: `pulseaudio:NAME`, `alsa:NAME`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is recorded from or played to.
    pub direction: Direction,
    /// Whether it is the one that is opened when none is named.
    pub default: bool,
    /// What it works at by itself, in Hz. Other rates are made of it.
    pub rate: u32,
    /// The lowest and the highest rate that the system opens it at, in Hz.
    pub rates: (u32, u32),
    /// Its channels.
    pub channels: u16,
}

/// Lists the real devices, inputs first. Any of them may be gone when it is opened.
///
/// # Errors
/// [`AudioError::Unavailable`] where there is nothing to ask, which says what to install.
pub fn devices() -> Result<Vec<Device>, AudioError> {
    real::list()
}

/// What is to be opened.
pub(crate) enum Target {
    /// A virtual device.
    Virtual(VirtualDevice),
    /// A real one.
    Real(Box<Found>),
}

impl Target {
    /// Finds what `wanted` means; the system's default device without.
    pub(crate) fn find(wanted: Option<&str>, direction: Direction) -> Result<Self, AudioError> {
        let wanted = wanted.unwrap_or(DEFAULT);
        if let Some(device) = VirtualDevice::parse(wanted) {
            return Ok(Self::Virtual(device?));
        }
        let found = if wanted == DEFAULT { real::find_default(direction)? } else { real::find(wanted)? };
        if let Some(found) = found {
            return Ok(Self::Real(Box::new(found)));
        }
        let devices = real::list()?;
        let device = pick(&devices, wanted, direction)?;
        let gone = || AudioError::Lost { device: device.id.clone(), why: "it has gone just now".to_owned() };
        real::find(&device.id)?.map(|found| Self::Real(Box::new(found))).ok_or_else(gone)
    }
}

/// Selects a device: by id, name, part of either, or number in the list of its direction.
fn pick<'a>(devices: &'a [Device], wanted: &str, direction: Direction) -> Result<&'a Device, AudioError> {
    let of_direction: Vec<&Device> = devices.iter().filter(|device| device.direction == direction).collect();
    let describe = |devices: &[&Device]| {
        devices.iter().map(|device| format!("{:?} ({})", device.name, device.id)).collect()
    };
    let missing =
        || AudioError::NotFound { wanted: wanted.to_owned(), direction, there: describe(&of_direction) };
    if wanted == DEFAULT {
        return of_direction.iter().find(|device| device.default).copied().ok_or_else(missing);
    }
    if let Some(device) = of_direction.iter().find(|device| device.id == wanted) {
        return Ok(device);
    }
    if let Ok(number) = wanted.parse::<usize>() {
        return of_direction.get(number).copied().ok_or_else(missing);
    }
    let part = wanted.to_lowercase();
    let exact: Vec<&Device> =
        of_direction.iter().filter(|device| device.name.to_lowercase() == part).copied().collect();
    let fitting = if exact.is_empty() {
        let fits = |device: &Device| {
            device.name.to_lowercase().contains(&part) || device.id.to_lowercase().contains(&part)
        };
        of_direction.iter().filter(|device| fits(device)).copied().collect()
    } else {
        exact
    };
    match fitting[..] {
        [] => Err(missing()),
        [device] => Ok(device),
        _ => Err(AudioError::Ambiguous { wanted: wanted.to_owned(), matches: describe(&fitting) }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, Direction, pick};

    fn device(id: &str, name: &str, direction: Direction, default: bool) -> Device {
        let (id, name) = (id.to_owned(), name.to_owned());
        Device { number: 0, id, name, direction, default, rate: 48_000, rates: (8_000, 96_000), channels: 2 }
    }

    fn some() -> Vec<Device> {
        vec![
            device("pulseaudio:usb", "USB Headset", Direction::Input, false),
            device("pulseaudio:usb2", "USB Headset Two", Direction::Input, true),
            device("pulseaudio:pci", "Built-in", Direction::Input, false),
            device("pulseaudio:out", "Built-in Speakers", Direction::Output, true),
        ]
    }

    fn picked(wanted: &str) -> Result<String, String> {
        let some = some();
        pick(&some, wanted, Direction::Input)
            .map(|device| device.id.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_device_is_picked_by_id_name_part_or_number() {
        for (wanted, id) in [
            ("pulseaudio:usb", "pulseaudio:usb"),
            ("usb headset", "pulseaudio:usb"),
            ("two", "pulseaudio:usb2"),
            ("pci", "pulseaudio:pci"),
            ("built", "pulseaudio:pci"),
            ("2", "pulseaudio:pci"),
            ("default", "pulseaudio:usb2"),
        ] {
            assert_eq!(picked(wanted).as_deref(), Ok(id), "{wanted}");
        }
    }

    #[test]
    fn a_name_of_several_devices_lists_them_and_a_wrong_one_lists_all() {
        let error = picked("headset").expect_err("two are called so");
        assert!(error.contains("\"USB Headset\" (pulseaudio:usb)") && error.contains("usb2"), "{error}");
        assert!(!error.contains("Built-in"), "{error}");
        for wanted in ["webcam", "3"] {
            let error = picked(wanted).expect_err("no such device");
            assert!(error.contains(&format!("no input device {wanted:?}")), "{error}");
            assert!(error.contains("Built-in") && !error.contains("Speakers"), "{error}");
        }
        let error = pick(&[], "default", Direction::Output).expect_err("none").to_string();
        assert!(error.contains("there is none at all"), "{error}");
    }
}
