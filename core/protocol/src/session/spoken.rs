//! Turns whose user speaks. Nothing answers them, so what the agent does tells when they are over.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::controller::{Active, CallId, Queued};
use crate::error::{Code, Error};
use crate::message::{AgentState, EventKind, MoreSpeech, Role, StateChange};
use crate::time::{Time, millis};
use crate::turn::{self, Fold};
use crate::voice::{LONGEST, Said, Speech, Utterance, Voice, samples_ms};

/// What the user of a turn says, before the turn begins.
#[derive(Debug)]
pub(super) struct Saying {
    samples: BytesMut,
    live: Option<Live>,
}

/// A turn whose speech comes while it is said.
#[derive(Clone, Debug)]
pub(super) struct Live {
    name: String,
    /// How much has come.
    length: Duration,
    /// The last of it has come.
    is_complete: bool,
}

impl Saying {
    pub(super) fn new(speech: Speech, live: Option<String>) -> Self {
        let live = live.map(|name| Live { name, length: speech.duration(), is_complete: false });
        // Nothing is copied where nobody else holds the samples.
        Self { samples: speech.into_samples().into(), live }
    }

    pub(super) const fn live(&mut self) -> Option<&mut Live> {
        self.live.as_mut()
    }

    pub(super) fn add(&mut self, samples: &Bytes) {
        self.samples.extend_from_slice(samples);
    }

    /// The user begins to say it.
    pub(super) fn begin(self, voice: &mut Voice, now: Time) -> Spoken {
        let is_open = self.live.as_ref().is_some_and(|live| !live.is_complete);
        Spoken::new(voice.say(self.samples.freeze(), is_open, now), self.live, now)
    }
}

impl Live {
    /// Whether this is more of it.
    pub(super) fn goes_on_with(&self, more: &MoreSpeech) -> bool {
        self.name == more.live && !self.is_complete
    }

    /// Takes account of more.
    pub(super) fn take(&mut self, more: &MoreSpeech) -> Result<(), Error> {
        let length = self.length + more.audio.as_ref().map_or(Duration::ZERO, Speech::duration);
        if length > LONGEST {
            let message = format!(
                "the speech is longer than {} s, the most of one turn; end it before that, or pass a duration",
                LONGEST.as_secs()
            );
            return Err(Error::new(Code::TooLarge, message));
        }
        self.length = length;
        self.is_complete = more.last;
        Ok(())
    }
}

/// What is peculiar to a turn whose user speaks.
#[derive(Debug)]
pub(super) struct Spoken {
    utterance: Utterance,
    live: Option<Live>,
    said: Said,
    /// When the agent last took something the user said as a message.
    heard: Option<Time>,
    /// The agent's speech recognition has heard something that is in no message yet.
    is_hearing: bool,
    /// The agent has begun to work since it heard the user.
    has_begun: bool,
    /// The agent has spoken since it heard the user.
    has_answered: bool,
    last_activity: Time,
    /// The user began while the agent spoke.
    interrupts: bool,
    /// From the user's first sound to the agent's silence.
    yielded: Option<Duration>,
}

/// What else tells whether a spoken turn is over.
pub(super) struct Circumstances {
    pub(super) agent_is_busy: bool,
    pub(super) user_is_speaking: bool,
    /// Speech of the agent's is still to be heard.
    pub(super) agent_is_heard: bool,
    pub(super) turn_settle: Duration,
    pub(super) introduction_timeout: Duration,
}

impl Spoken {
    const fn new(utterance: Utterance, live: Option<Live>, now: Time) -> Self {
        Self {
            utterance,
            live,
            said: Said { first: None, last: None, end: None },
            heard: None,
            is_hearing: false,
            has_begun: false,
            has_answered: false,
            last_activity: now,
            interrupts: false,
            yielded: None,
        }
    }

    pub(super) const fn live(&mut self) -> Option<&mut Live> {
        self.live.as_mut()
    }

    /// The user begins while the agent speaks.
    pub(super) const fn interrupt(&mut self) {
        self.interrupts = true;
    }

    pub(super) const fn interrupts(&self) -> bool {
        self.interrupts
    }

    pub(super) const fn utterance(&self) -> Utterance {
        self.utterance
    }

    /// Takes note of what the agent tells.
    pub(super) fn note(&mut self, kind: &EventKind, now: Time) {
        match kind {
            EventKind::Transcript { .. } => self.is_hearing = true,
            EventKind::Message(message) if message.role == Role::User => {
                self.heard = Some(now);
                self.is_hearing = false;
                self.has_begun = false;
                self.has_answered = false;
            }
            EventKind::Message(message) if message.role == Role::Assistant => self.has_answered = true,
            EventKind::State(StateChange::Agent {
                to: AgentState::Thinking | AgentState::Speaking, ..
            })
            | EventKind::ToolCall(_) => self.has_begun = true,
            EventKind::State(_) | EventKind::Handoff(_) | EventKind::Error { .. } => {}
            _ => return,
        }
        self.last_activity = now;
    }

    /// The agent fell silent at `at`, since the user spoke.
    pub(super) fn yielded(&mut self, voice: &mut Voice, at: Time) {
        self.update(voice);
        if let Some(first) = self.said.first {
            self.yielded.get_or_insert_with(|| at.since(voice.time(first)));
        }
    }

    /// Whether the turn is over. Where the agent has heard and answered, it is at once; what is in doubt waits for quiet.
    pub(super) fn is_over(
        &mut self,
        fold: &Fold,
        voice: &mut Voice,
        circumstances: &Circumstances,
        is_interrupted: bool,
        now: Time,
    ) -> bool {
        self.update(voice);
        let Some(end) = self.said.end.map(|end| voice.time(end)) else { return false };
        let quiet = now.since(self.last_activity.max(end));
        if circumstances.agent_is_heard {
            self.last_activity = now;
            return false;
        }
        if is_interrupted {
            return self.has_answered || quiet >= voice.config().answer_timeout;
        }
        if circumstances.agent_is_busy {
            return false;
        }
        // What the agent heard before the last sound was not all.
        let last_sound = self.said.last.map_or(Time::ZERO, |last| voice.time(last));
        let is_heard = self.heard.is_some_and(|heard| heard >= last_sound) && !self.is_hearing;
        let enough = if !is_heard || circumstances.user_is_speaking {
            let is_partly = self.heard.is_some() && !self.is_hearing && !circumstances.user_is_speaking;
            if is_partly { voice.config().answer_timeout } else { voice.config().hearing_timeout }
        } else if fold.awaits_introduction() {
            circumstances.introduction_timeout
        } else if self.has_answered {
            Duration::ZERO
        } else if self.has_begun || fold.has_error() {
            circumstances.turn_settle
        } else {
            voice.config().answer_timeout
        };
        quiet >= enough
    }

    fn update(&mut self, voice: &mut Voice) {
        if let Some(said) = voice.said(self.utterance) {
            self.said = said;
        }
    }
}

/// A turn whose user speaks while the agent does.
#[derive(Debug)]
pub(super) enum Over {
    /// It waits until the agent has spoken for a while.
    Waiting {
        turn: Queued,
        after: Duration,
        /// There was a turn to interrupt.
        saw_turn: bool,
    },
    /// The user speaks, and the turn that is interrupted is not over yet.
    Begun(Box<Active>),
}

impl Over {
    pub(super) const fn waiting(turn: Queued, after: Duration) -> Self {
        Self::Waiting { turn, after, saw_turn: false }
    }

    pub(super) const fn call(&self) -> CallId {
        match self {
            Self::Waiting { turn, .. } => turn.call,
            Self::Begun(active) => active.call,
        }
    }

    pub(super) fn deadline(&self) -> Time {
        match self {
            Self::Waiting { turn, .. } => turn.submitted + turn.timeout,
            Self::Begun(active) => active.submitted + active.timeout,
        }
    }

    /// When the user begins to speak, if the agent has been speaking since then.
    pub(super) fn due(&self, speaking: Option<Time>) -> Option<Time> {
        match self {
            Self::Waiting { after, .. } => Some(speaking? + *after),
            Self::Begun(_) => None,
        }
    }

    pub(super) fn see_turn(&mut self) {
        if let Self::Waiting { saw_turn, .. } = self {
            *saw_turn = true;
        }
    }

    /// Whether the turn that was to be interrupted was there, if nobody speaks yet.
    pub(super) const fn saw_turn(&self) -> bool {
        matches!(self, Self::Waiting { saw_turn: true, .. })
    }

    pub(super) const fn has_begun(&self) -> bool {
        matches!(self, Self::Begun(_))
    }

    pub(super) fn waiting_mut(&mut self) -> Option<&mut Queued> {
        match self {
            Self::Waiting { turn, .. } => Some(turn),
            Self::Begun(_) => None,
        }
    }

    pub(super) fn begun(&self) -> Option<&Active> {
        match self {
            Self::Begun(active) => Some(active),
            Self::Waiting { .. } => None,
        }
    }

    pub(super) fn begun_mut(&mut self) -> Option<&mut Active> {
        match self {
            Self::Begun(active) => Some(active),
            Self::Waiting { .. } => None,
        }
    }

    pub(super) fn into_begun(self) -> Option<Active> {
        match self {
            Self::Begun(active) => Some(*active),
            Self::Waiting { .. } => None,
        }
    }

    pub(super) fn into_waiting(self) -> Option<Queued> {
        match self {
            Self::Waiting { turn, .. } => Some(turn),
            Self::Begun(_) => None,
        }
    }
}

/// What was heard in a turn that ends at `now`. The user's own end is that of a text, at `asked`, where nothing was said aloud.
pub(super) fn report(
    voice: &mut Voice,
    spoken: Option<&Spoken>,
    cut: Option<u64>,
    asked: Time,
    now: Time,
) -> turn::Voice {
    let heard = voice.take_heard(now);
    let said = spoken.and_then(|spoken| Some((spoken.said.first?, spoken.said.last?)));
    let ended = said.map_or(asked, |(_, last)| voice.time(last));
    let answered = heard.starts.iter().map(|start| voice.time(*start)).find(|start| *start >= ended);
    turn::Voice {
        user_ms: said.map_or(0.0, |(first, last)| samples_ms(last - first)),
        agent_ms: samples_ms(heard.speech),
        response_ms: answered.map(|answered| millis(answered.since(ended))),
        cut_ms: cut.map(samples_ms),
        yield_ms: spoken.and_then(|spoken| spoken.yielded).map(millis),
        lost_ms: samples_ms(heard.lost),
        stalled_ms: voice.stalled_ms(asked),
        audio: Speech::new(heard.samples.freeze()).ok(),
    }
}
