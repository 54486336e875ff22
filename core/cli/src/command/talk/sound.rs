//! Carries sound between two devices and a session.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use greenroom_audio::{Format, Level, Meter, Sample as _};
use greenroom_capture::{AudioError, Capture, CaptureOptions, Event, Playback, PlaybackOptions};
use greenroom_engine::Session;
use greenroom_engine::protocol::voice::Clock;
use greenroom_protocol::{Code, Error};

use super::echo::Echo;
use crate::args;

/// How long a wait for a device lasts before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(100);
/// How often there is a look at how much the device that plays has left.
const TICK: Duration = Duration::from_millis(10);
/// How much of the agent's speech waits to be heard: the 80 ms that a real device and its ring
/// hold, and enough for a thread that is late.
const AHEAD: Duration = Duration::from_millis(120);
/// How much waits at least with echo control, silence where the agent says nothing: a device that
/// never runs dry keeps its distance.
const KEPT: Duration = Duration::from_millis(100);

/// The clock of a session whose agent is played: what is taken for the device is heard when what
/// waits before it has been.
pub(super) const CLOCK: Clock = Clock::Pulled { latency: AHEAD };

/// How loud a side is that says nothing.
const SILENT: Level =
    Level { at: 0, rms: f32::NEG_INFINITY, peak: f32::NEG_INFINITY, held: f32::NEG_INFINITY, clipped: 0 };

/// Two devices and a session between which sound is carried, by a thread for each direction.
pub(super) struct Sound {
    shared: Arc<Shared>,
    threads: [JoinHandle<()>; 2],
}

/// How loud both sides are.
#[derive(Clone, Copy)]
pub(super) struct Levels {
    pub(super) user: Level,
    pub(super) agent: Level,
}

struct Shared {
    capture: Capture,
    playback: Playback,
    /// Where echoes are taken out.
    echo: Option<Mutex<Echo>>,
    is_over: AtomicBool,
    /// The user's device has ended.
    has_ended: AtomicBool,
    levels: Mutex<Levels>,
    failed: Mutex<Option<Error>>,
}

impl Sound {
    /// Opens the devices, and begins to carry, with echo control or without.
    ///
    /// # Errors
    /// Why a device cannot be had.
    pub(super) fn open(
        devices: &args::Devices,
        echo: Option<Echo>,
        session: &Session,
    ) -> Result<Self, Error> {
        let (wire, reopen) = (Format::WIRE, devices.reopen);
        let playback = Playback::open(&PlaybackOptions {
            device: devices.output.clone(),
            rate: wire.rate(),
            reopen,
            ..PlaybackOptions::default()
        })?;
        let capture = Capture::open(&CaptureOptions {
            device: devices.input.clone(),
            channel: devices.channel,
            rate: wire.rate(),
            reopen,
            ..CaptureOptions::default()
        })
        .map_err(|error| super::super::unreadable_argument(error.into()))?;
        let shared = Arc::new(Shared {
            capture,
            playback,
            echo: echo.map(Mutex::new),
            is_over: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            levels: Mutex::new(Levels { user: SILENT, agent: SILENT }),
            failed: Mutex::new(None),
        });
        let threads = [
            begin("greenroom-hear", &shared, session, Shared::hear)?,
            begin("greenroom-play", &shared, session, Shared::play)?,
        ];
        Ok(Self { shared, threads })
    }

    /// The devices that hear the user and play the agent.
    pub(super) fn devices(&self) -> Result<(String, String), Error> {
        Ok((self.shared.capture.device()?, self.shared.playback.device()?))
    }

    /// Whether what is played is taken out of what is heard.
    pub(super) fn controls_echo(&self) -> bool {
        self.shared.echo.is_some()
    }

    pub(super) fn levels(&self) -> Levels {
        *self.shared.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the user's device has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::SeqCst)
    }

    /// Whether a device has failed; [`Sound::close`] returns the error.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What happened to the devices since the last look.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(Some(event)) = self.shared.capture.event(Some(Duration::ZERO)) {
            events.push(event);
        }
        while let Ok(Some(event)) = self.shared.playback.event(Some(Duration::ZERO)) {
            events.push(event);
        }
        events
    }

    /// Ends it. A file that was played into is whole then.
    ///
    /// # Errors
    /// Why it ended before, or could not be ended.
    pub(super) fn close(self) -> Result<(), Error> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let panicked = self.threads.map(|thread| thread.join().is_err()).contains(&true);
        if let Some(error) = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        if panicked {
            return Err(Error::new(Code::Internal, "an audio thread panicked; please report it"));
        }
        self.shared.capture.close()?;
        Ok(self.shared.playback.close()?)
    }
}

fn begin(
    name: &str,
    shared: &Arc<Shared>,
    session: &Session,
    carry: fn(&Shared, &Session) -> Result<(), Error>,
) -> Result<JoinHandle<()>, Error> {
    let (shared, session) = (Arc::clone(shared), session.clone());
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = carry(&shared, &session) {
            shared.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    });
    thread.map_err(|error| Error::new(Code::Io, format!("no thread can be started for audio: {error}")))
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn echo(&self) -> Option<MutexGuard<'_, Echo>> {
        self.echo.as_ref().map(|echo| echo.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn show(&self, set: impl FnOnce(&mut Levels)) {
        set(&mut self.levels.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// From the user's device to the session, until the device ends.
    fn hear(&self, session: &Session) -> Result<(), Error> {
        let mut meter = Meter::new(Format::WIRE);
        while !self.is_over() {
            let frame = match self.capture.read::<f32>(Some(LOOK)) {
                Err(AudioError::Timeout { .. }) => continue,
                frame => frame?,
            };
            let Some(mut frame) = frame else {
                self.show(|levels| levels.user = SILENT);
                self.has_ended.store(true, Ordering::SeqCst);
                break;
            };
            if let Some(mut echo) = self.echo() {
                echo.recorded(&mut frame.samples, self.playback.position()?.waiting)?;
            }
            let bytes = frame.samples.iter().flat_map(|&sample| i16::from_f32(sample).to_le_bytes());
            session.feed(bytes.collect());
            let mut samples = &frame.samples[..];
            while let Some(level) = meter.next(&mut samples) {
                self.show(|levels| levels.user = level);
            }
        }
        Ok(())
    }

    /// From the session to the device that plays.
    fn play(&self, session: &Session) -> Result<(), Error> {
        let mut meter = Meter::new(Format::WIRE);
        let ahead = Format::WIRE.samples_in(AHEAD);
        let kept = if self.echo.is_some() { Format::WIRE.samples_in(KEPT) } else { 0 };
        let silence = vec![0.0; Format::WIRE.samples_in(TICK) as usize];
        let mut is_silent = true;
        while !self.is_over() {
            let waiting = self.playback.position()?.waiting;
            let room = ahead.saturating_sub(waiting);
            let pulled = session.pull(room);
            let mut samples: Vec<f32> =
                pulled.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect();
            let least = kept.saturating_sub(waiting) as usize;
            samples.resize(samples.len().max(least), 0.0);
            if !samples.is_empty() {
                // Held until it is on its way, by which echo control goes.
                let mut echo = self.echo();
                if let Some(echo) = &mut echo {
                    echo.played(&samples);
                }
                self.playback.write(&samples, Some(LOOK))?;
                is_silent = false;
            } else if room > 0 && !is_silent && kept == 0 {
                // It must not wait for more.
                self.playback.flush()?;
                is_silent = true;
            }
            let mut shown = if samples.is_empty() && is_silent { &silence[..] } else { &samples[..] };
            while let Some(level) = meter.next(&mut shown) {
                self.show(|levels| levels.agent = level);
            }
            thread::sleep(TICK);
        }
        Ok(())
    }
}
