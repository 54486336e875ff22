//! The audio half of a session over the wire: the user's speech out at an even pace, the agent's in, heard in its time.
//!
//! Both directions are 48 kHz mono, signed 16 bits, and both lie on one line of samples that begins when the voice is opened; so what
//! was said when, by whom, is known to the sample, and the recording is aligned by construction.

mod line;
mod playback;
mod speech;
mod uplink;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

pub use self::playback::Clock;
use self::playback::Playback;
pub(crate) use self::playback::{Cut, Heard};
pub use self::speech::{LONGEST, RATE, Speech};
use self::uplink::{FRAME, Uplink};
pub(crate) use self::uplink::{Said, Utterance};
use crate::message::{self, AudioFrame};
use crate::time::{Time, millis};

/// Frames that wait for the link, besides those that are made at once after a standstill. 1 s: beyond, the oldest go, and are counted.
const WAITING_FRAMES: usize = 50;
/// Stretches of the recording that wait to be taken, besides those that are made at once. 10 s: beyond, the oldest go.
const WAITING_TAPE: usize = 500;

/// How a session's voice behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VoiceConfig {
    /// Who says when the agent's speech is heard.
    pub clock: Clock,
    /// Whether the session is recorded, for [`Controller::poll_recording`](crate::session::Controller::poll_recording).
    pub record: bool,
    /// How long a spoken turn waits for a sign that the agent heard it. 10 s.
    pub hearing_timeout: Duration,
    /// How long a spoken turn that was heard waits for the agent to begin an answer. 3 s.
    pub answer_timeout: Duration,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            record: false,
            hearing_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(3),
        }
    }
}

/// What was lost of a session's audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Losses {
    /// How much of the user's audio was put off, since the session's thread did not run for longer than can be caught up with: 10 s.
    /// Milliseconds.
    pub late_ms: f64,
    /// What a live source gave faster than it could be said. Milliseconds.
    pub live_ms: f64,
    /// What the link did not take in time. Milliseconds.
    pub link_ms: f64,
    /// Frames of the agent's that were no speech of the wire's format.
    pub odd_frames: u64,
}

/// The audio of one session.
#[derive(Debug)]
pub(crate) struct Voice {
    config: VoiceConfig,
    origin: Time,
    uplink: Uplink,
    playback: Playback,
    frames: VecDeque<Bytes>,
    recording: VecDeque<Bytes>,
    unsent: u64,
    odd_frames: u64,
}

impl Voice {
    /// A voice whose line begins at `now`.
    pub(crate) fn new(config: VoiceConfig, now: Time) -> Self {
        Self {
            origin: now,
            uplink: Uplink::default(),
            playback: Playback::new(config.clock, config.record),
            frames: VecDeque::new(),
            recording: VecDeque::new(),
            unsent: 0,
            odd_frames: 0,
            config,
        }
    }

    pub(crate) const fn config(&self) -> &VoiceConfig {
        &self.config
    }

    // ---- the user ----------------------------------------------------------------------------------------------------------------

    /// Says this from `now` on, after all that is being said. One that stays open goes on with what is added.
    pub(crate) fn say(&mut self, samples: Bytes, is_open: bool, now: Time) -> Utterance {
        let now = self.place(now);
        self.uplink.say(now, samples, is_open)
    }

    /// Adds to an utterance that is open.
    pub(crate) fn add(&mut self, utterance: Utterance, samples: Bytes, now: Time) {
        let now = self.place(now);
        self.uplink.add(now, utterance, samples);
    }

    /// Nothing more is added to an utterance.
    pub(crate) fn complete(&mut self, utterance: Utterance) {
        self.uplink.complete(utterance);
    }

    /// Takes samples of a live source.
    pub(crate) fn feed(&mut self, samples: Bytes, now: Time) {
        let now = self.place(now);
        self.uplink.feed(now, samples);
    }

    /// How an utterance stands. It is forgotten once it was given with its end.
    pub(crate) fn said(&mut self, utterance: Utterance) -> Option<Said> {
        self.uplink.said(utterance)
    }

    /// Says no more of an utterance.
    pub(crate) fn stop(&mut self, utterance: Utterance) {
        self.uplink.stop(utterance);
    }

    // ---- the agent ---------------------------------------------------------------------------------------------------------------

    /// Takes speech of the agent's. What is not of the wire's one format is counted and not heard.
    pub(crate) fn receive(&mut self, frame: AudioFrame, now: Time) {
        let is_speech =
            frame.sample_rate == RATE && frame.num_channels == 1 && frame.data.len().is_multiple_of(2);
        if is_speech {
            let now = self.place(now);
            self.playback.receive(now, frame.data);
        } else {
            self.odd_frames += 1;
        }
    }

    pub(crate) fn flush(&mut self, now: Time) {
        let now = self.place(now);
        self.playback.flush(now);
    }

    pub(crate) fn clear(&mut self, now: Time) -> Option<Cut> {
        let now = self.place(now);
        self.playback.clear(now)
    }

    /// A device takes up to `most` samples to play.
    pub(crate) fn pull(&mut self, most: u64, now: Time) -> Bytes {
        let now = self.place(now);
        self.playback.pull(now, most)
    }

    /// Whether speech is still to be heard.
    pub(crate) fn is_speaking(&self, now: Time) -> bool {
        self.playback.is_busy(self.place(now))
    }

    /// When the segment that is being heard began; `None` while the agent is silent.
    pub(crate) fn speaking_since(&self) -> Option<Time> {
        self.playback.speaking_since().map(|place| self.time(place))
    }

    /// Takes what was heard up to `now`.
    pub(crate) fn take_heard(&mut self, now: Time) -> Heard {
        let now = self.place(now);
        self.playback.take_heard(now)
    }

    // ---- time --------------------------------------------------------------------------------------------------------------------

    /// When to call [`Voice::advance`].
    pub(crate) fn poll_timeout(&self) -> Time {
        let next = self.playback.next_at().map_or(self.uplink.next_at(), |at| at.min(self.uplink.next_at()));
        self.time(next)
    }

    /// Makes what is due, and gives how many flushes are to be acknowledged.
    pub(crate) fn advance(&mut self, now: Time) -> usize {
        let now = self.place(now);
        let mut made = 0;
        while let Some((samples, skipped)) = self.uplink.frame(now) {
            if self.config.record {
                self.tape(&samples, skipped, made);
            }
            // Those that are made at once have not waited for the link.
            if self.frames.len() >= WAITING_FRAMES + made {
                self.frames.pop_front();
                self.unsent += FRAME;
            }
            self.frames.push_back(message::encode_audio_input(samples, RATE, FRAME as u32));
            made += 1;
        }
        self.playback.advance(now);
        self.playback.acknowledge(now)
    }

    /// Nothing is said or heard from `now` on: what is recorded goes up to there.
    pub(crate) fn end(&mut self, now: Time) {
        self.advance(now);
        let rest = self.uplink.rest(self.place(now));
        if self.config.record {
            self.tape(&rest, 0, self.recording.len());
        }
    }

    /// The next frame for the agent.
    pub(crate) fn poll_frame(&mut self) -> Option<Bytes> {
        self.frames.pop_front()
    }

    /// The next stretch of the recording: signed 16 bits, 48 kHz, the user left and the agent right.
    pub(crate) fn poll_recording(&mut self) -> Option<Bytes> {
        self.recording.pop_front()
    }

    pub(crate) fn losses(&self) -> Losses {
        let (late, live) = self.uplink.losses();
        let ms = |samples| millis(line::duration(samples));
        Losses { late_ms: ms(late), live_ms: ms(live), link_ms: ms(self.unsent), odd_frames: self.odd_frames }
    }

    /// The longest standstill since `since` that delayed the user's audio or the agent's, in milliseconds; 0 where there was none.
    pub(crate) fn stalled_ms(&self, since: Time) -> f64 {
        samples_ms(self.uplink.stalled_since(self.place(since)))
    }

    /// The place on the line at `now`.
    fn place(&self, now: Time) -> u64 {
        line::place(self.origin, now)
    }

    /// When that place is reached.
    pub(crate) fn time(&self, place: u64) -> Time {
        line::time(self.origin, place)
    }

    /// Records a frame of the user's, and what of the agent was heard meanwhile.
    fn tape(&mut self, user: &Bytes, skipped: u64, at_once: usize) {
        let agent = self.playback.take_tape(self.uplink.sent());
        let skipped = BytesMut::zeroed(skipped as usize * 2);
        let user = skipped.chunks_exact(2).chain(user.chunks_exact(2));
        let mut stereo = BytesMut::with_capacity(agent.len() * 2);
        for (user, agent) in user.zip(agent.chunks_exact(2)) {
            stereo.extend_from_slice(user);
            stereo.extend_from_slice(agent);
        }
        if self.recording.len() >= WAITING_TAPE + at_once {
            self.recording.pop_front();
        }
        self.recording.push_back(stereo.freeze());
    }
}

/// How long so many samples last, in milliseconds.
pub(crate) fn samples_ms(samples: u64) -> f64 {
    millis(line::duration(samples))
}
