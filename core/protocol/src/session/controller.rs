//! The controller's side of a session: operations in, messages out; messages in, answers and events out.
//!
//! Methods may be called in any order. What they cause queues up; drain it with [`Controller::poll_transmit`],
//! [`Controller::poll_answer`] and [`Controller::journal`], and call [`Controller::handle_timeout`] when
//! [`Controller::poll_timeout`] says so. Each operation gets exactly one answer or one error.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::host::{PERMISSION_DENIED, UNSUPPORTED_REQUEST};
use super::liveness::{Due, Liveness, Watch};
use super::spoken::{Circumstances, Over, Saying, Spoken};
use super::told::Told;
use super::tool_runs::ToolRuns;
use crate::error::{Code, Error};
use crate::journal::Journal;
use crate::kept::Kept;
use crate::limits::Limits;
use crate::message::{
    self, AgentInfo, AgentState, Answer, CloseReason, Event, EventKind, Inbound, IoUpdate, Item, Kind,
    MoreSpeech, Operation, Payload, Response, Role, SessionCloseReason, SessionState, SpokenTurn, Started,
    StateChange, UserState,
};
use crate::stand_in;
use crate::time::{Time, WallClock, in_words, millis};
use crate::turn::{Fold, Turn, WORDLESS};
use crate::voice::{Losses, Speech, Voice, VoiceConfig};

/// How a controller behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Every bound.
    pub limits: Limits,
    /// What the ids of our requests begin with. Controllers of one host must differ in it where the host does not route by sender.
    pub id_prefix: String,
    /// Whether the agent's audio is turned off at the start, so that it works without speech models.
    pub text_mode: bool,
    /// The session's audio over the wire, where it is kept on; then `text_mode` counts for nothing.
    pub voice: Option<VoiceConfig>,
    /// Whether the history is fetched at the start, for what was said before the link was there.
    pub fetch_history: bool,
    /// Where the agent runs, for errors about an agent that does not answer.
    pub agent_place: AgentPlace,
    /// How long an agent opened with [`Controller::open`] may take to answer a start ping. 60 s.
    pub ready_timeout: Duration,
    /// How often the start ping is repeated until the agent answers one. 0.5 s.
    pub start_ping_every: Duration,
    /// How long the agent may take, after its first pong, to answer the other requests of a start.
    /// The session starts without the answers that are missing then. 10 s.
    pub start_details_timeout: Duration,
    /// How long a greeting may take before the session counts as ready all the same. 10 s.
    pub greeting_timeout: Duration,
    /// How long nothing must happen at the start before the session counts as ready. 150 ms.
    pub start_settle: Duration,
    /// How long a turn waits, after its answer, for a new agent to introduce itself. 4 s.
    pub introduction_timeout: Duration,
    /// How long nothing must happen, after an answer that may not be all, before the turn is over. 250 ms.
    pub turn_settle: Duration,
    /// How long a turn may take unless its caller says otherwise, waiting for those before it included. 120 s.
    pub turn_timeout: Duration,
    /// How long any other call may take unless its caller says otherwise. 30 s.
    pub call_timeout: Duration,
    /// How long nothing is heard from an agent, while a call waits for it, before it is pinged. 1 s.
    pub ping_after: Duration,
    /// How long nothing is heard from an agent, while no call waits for it, before it is pinged. `None`,
    /// the default, never pings it then: in a room, each ping is a message to a live agent.
    pub idle_ping_after: Option<Duration>,
    /// How long a ping may stay unanswered before the agent is reported as unresponsive. 3 s.
    pub unresponsive_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            id_prefix: "gr".to_owned(),
            text_mode: true,
            voice: None,
            fetch_history: true,
            agent_place: AgentPlace::default(),
            ready_timeout: Duration::from_secs(60),
            start_ping_every: Duration::from_millis(500),
            start_details_timeout: Duration::from_secs(10),
            greeting_timeout: Duration::from_secs(10),
            start_settle: Duration::from_millis(150),
            introduction_timeout: Duration::from_secs(4),
            turn_settle: Duration::from_millis(250),
            turn_timeout: Duration::from_secs(120),
            call_timeout: Duration::from_secs(30),
            ping_after: Duration::from_secs(1),
            idle_ping_after: None,
            unresponsive_after: Duration::from_secs(3),
        }
    }
}

/// Where the agent of a session runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentPlace {
    /// In a process that this library started.
    #[default]
    Process,
    /// In a LiveKit room, as another participant.
    Room,
    /// In the caller's process.
    SameProcess,
}

/// The number of an operation that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// The controller's side of one session.
#[derive(Debug)]
pub struct Controller {
    config: Config,
    phase: Phase,
    /// Why the link is closed.
    close_reason: Option<CloseReason>,
    journal: Journal,
    told: Told,
    tool_runs: ToolRuns,
    liveness: Liveness,
    /// How many pings were sent that no call asked for.
    pings: u64,
    /// How the agent ended its session, once it has.
    session_end: Option<(SessionCloseReason, Option<String>)>,
    /// Whether it was said that the agent stumbled over a stand-in for a room.
    has_hinted: bool,
    agent_state: Option<AgentState>,
    next_call: u64,
    next_request: u64,
    turns: u64,
    starts: Vec<(CallId, Time)>,
    waiting: BTreeMap<u64, Waiting>,
    queue: VecDeque<Queued>,
    active: Option<Active>,
    /// A turn whose user speaks while the agent does, until the turn under way is over.
    over: Option<Over>,
    /// The audio, once the link is there.
    voice: Option<Voice>,
    /// The audio of a link that is gone: the end of its recording, and what was lost.
    ended_voice: Option<Voice>,
    user_state: Option<UserState>,
    /// Turns whose caller gave up before they were answered, oldest first.
    late: VecDeque<Late>,
    /// What turns said whose own user message has not been seen; it is not to be taken for somebody else's.
    unheard: VecDeque<String>,
    /// What was said and done between turns.
    backlog: Kept,
    /// Events that were lost and not reported yet.
    lost: Option<LostEvents>,
    /// What a start answers, but for the events.
    started: Started,
    transmits: VecDeque<Bytes>,
    answers: VecDeque<(CallId, Result<Answer, Error>)>,
}

/// Events whose messages were not read. Losses in a row are reported as one gap: before the next
/// event, or after [`GAP_DELAY`] if none follows.
#[derive(Debug)]
struct LostEvents {
    count: u64,
    report_at: Time,
}

/// How long a gap may wait for further losses before it is reported.
const GAP_DELAY: Duration = Duration::from_millis(100);

#[derive(Debug)]
enum Phase {
    /// There is no link yet.
    Unlinked,
    Starting(Starting),
    Ready,
    Closed(Error),
}

#[derive(Debug)]
struct Starting {
    began: Time,
    /// Deadline for the first pong.
    answered_by: Time,
    /// When the next ping is sent; `None` once the agent has answered one.
    next_ping: Option<Time>,
    /// Requests that carry a ping, oldest first.
    pings: VecDeque<u64>,
    /// How many pings were sent.
    pings_sent: usize,
    /// When a greeting is waited for no longer.
    greeted_by: Time,
    last_event: Time,
    open_requests: usize,
    history: Option<Vec<Item>>,
}

/// A request that is on its way.
#[derive(Debug)]
struct Waiting {
    purpose: Purpose,
    since: Time,
    deadline: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Call(CallId, &'static str),
    StartPing,
    StartDetail(StartDetail),
}

/// What a start asks besides the ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartDetail {
    TextMode,
    FrameworkInfo,
    SessionState,
    History,
}

impl StartDetail {
    fn operation(self) -> Operation {
        match self {
            Self::TextMode => Operation::UpdateIo(IoUpdate::text_mode()),
            Self::FrameworkInfo => Operation::FrameworkInfo,
            Self::SessionState => Operation::SessionState,
            Self::History => Operation::History,
        }
    }
}

/// How many start pings may wait for an answer. An answer to an older one is ignored.
const START_PINGS: usize = 16;

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) call: CallId,
    text: String,
    /// What the user says aloud; `None` in a turn of text.
    saying: Option<Saying>,
    pub(super) submitted: Time,
    pub(super) timeout: Duration,
    /// The caller gave no timeout, so that it is longer by what comes of a live turn.
    is_default: bool,
}

#[derive(Debug)]
pub(super) struct Active {
    pub(super) call: CallId,
    /// The number of the request that the agent is to answer; `None` where the user speaks, which is no request.
    request: Option<u64>,
    pub(super) fold: Fold,
    pub(super) spoken: Option<Spoken>,
    /// Where the agent was cut off, in samples of its segment.
    pub(super) cut: Option<u64>,
    pub(super) submitted: Time,
    pub(super) timeout: Duration,
    is_default: bool,
    /// Set once the answer is there and the turn may not be over yet.
    settling: Option<Settling>,
}

/// A turn whose caller gave up before it was answered.
#[derive(Debug)]
struct Late {
    request: u64,
    fold: Fold,
    /// The agent went on to a later turn: nothing that happens now belongs to this one, but its answer may still come.
    is_past: bool,
}

/// What an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Active,
    /// The turn whose user speaks while that one is still under way.
    Interrupter,
    /// A turn whose caller gave up, by its place among those.
    Late(usize),
    /// A turn that is over: it is that turn's own user message.
    Over,
    Nobody,
}

/// How many texts of turns without their own user message are remembered.
const UNHEARD: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Settling {
    last_activity: Time,
    until: Time,
    awaits_introduction: bool,
}

impl Controller {
    /// A controller whose link is not there yet. Operations may be submitted; they wait for [`Controller::open`].
    pub fn new(config: Config, clock: WallClock) -> Self {
        let journal = Journal::new(&config.limits, clock);
        let backlog = Kept::new(&config.limits);
        Self {
            config,
            phase: Phase::Unlinked,
            close_reason: None,
            journal,
            told: Told::default(),
            tool_runs: ToolRuns::default(),
            liveness: Liveness::default(),
            pings: 0,
            session_end: None,
            has_hinted: false,
            agent_state: None,
            next_call: 1,
            next_request: 1,
            turns: 0,
            starts: Vec::new(),
            waiting: BTreeMap::new(),
            queue: VecDeque::new(),
            active: None,
            over: None,
            voice: None,
            ended_voice: None,
            user_state: None,
            late: VecDeque::new(),
            unheard: VecDeque::new(),
            backlog,
            lost: None,
            started: Started::default(),
            transmits: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// Starts the session over a link that is there: pings the agent, turns its audio off in text
    /// mode, and fetches what was said before. [`Config::ready_timeout`] is the start deadline.
    pub fn open(&mut self, now: Time) {
        self.open_by(now + self.config.ready_timeout, now);
    }

    /// Does the same as [`Controller::open`] with `ready_by` as the start deadline. The ping is
    /// repeated until then; the session closes if the agent has not answered one. A greeting is not
    /// waited for beyond the deadline.
    pub fn open_by(&mut self, ready_by: Time, now: Time) {
        if !matches!(self.phase, Phase::Unlinked) {
            return;
        }
        self.phase = Phase::Starting(Starting {
            began: now,
            answered_by: ready_by,
            next_ping: Some(now),
            pings: VecDeque::new(),
            pings_sent: 0,
            greeted_by: ready_by.min(now + self.config.greeting_timeout),
            last_event: now,
            open_requests: 1,
            history: None,
        });
        self.voice = self.config.voice.clone().map(|config| Voice::new(config, now));
        self.ping_start(now);
        if self.config.text_mode && self.voice.is_none() {
            self.start_request(StartDetail::TextMode);
        }
        self.start_request(StartDetail::FrameworkInfo);
        self.start_request(StartDetail::SessionState);
        if self.config.fetch_history {
            self.start_request(StartDetail::History);
        }
    }

    /// Takes the link back from a session that has not started: its agent left before it answered.
    /// Queued turns and calls of [`Operation::Start`] keep waiting for the next [`Controller::open_by`].
    /// Returns whether the session was starting; otherwise nothing changes.
    pub fn unlink(&mut self) -> bool {
        if !matches!(self.phase, Phase::Starting(_)) {
            return false;
        }
        self.phase = Phase::Unlinked;
        self.started = Started::default();
        self.agent_state = None;
        self.voice = None;
        self.transmits.clear();
        let error = Error::new(Code::AgentGone, "the agent left before its session had started");
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            if let Purpose::Call(call, _) = waiting.purpose {
                self.answers.push_back((call, Err(error.clone())));
            }
        }
        true
    }

    /// Takes an operation. Its answer comes from [`Controller::poll_answer`] within `timeout`, or within the default where it is `None`.
    pub fn submit(&mut self, operation: Operation, timeout: Option<Duration>, now: Time) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        if let Phase::Closed(error) = &self.phase {
            let answer = match operation {
                Operation::History => self.history_after_close().ok_or_else(|| error.clone()),
                _ => Err(error.clone()),
            };
            self.answers.push_back((call, answer));
            return call;
        }
        let taken = match operation {
            Operation::Start => self.submit_start(call, timeout, now),
            Operation::Say { text } => self.submit_turn(call, text, timeout, now),
            Operation::SayAudio(spoken) => self.submit_spoken(call, spoken, timeout, now),
            Operation::SayMore(more) => self.say_more(call, &more, now),
            operation => self.submit_call(call, operation, timeout, now),
        };
        if let Err(error) = taken {
            self.answers.push_back((call, Err(error)));
        }
        call
    }

    /// Gives a call up. It is answered with `cancelled`; a turn that had begun goes on in the agent and its answer is kept, marked late.
    pub fn cancel(&mut self, call: CallId, now: Time) {
        self.give_up(call, Error::new(Code::Cancelled, "the call was cancelled"), now);
    }

    /// Takes one message from the agent.
    pub fn receive(&mut self, message: &Bytes, now: Time) {
        if matches!(self.phase, Phase::Closed(_) | Phase::Unlinked) {
            return;
        }
        self.hear(now);
        match Inbound::decode(message) {
            Ok(Inbound::Events { mut events, raw }) => {
                self.tool_runs.take(&mut events);
                // The bytes are kept once, with the first.
                let raws = std::iter::once(raw).chain(std::iter::repeat(None));
                for (kind, raw) in events.into_iter().zip(raws) {
                    self.event(kind, raw, now);
                }
            }
            Ok(Inbound::Response(response)) => self.response(response, now),
            Ok(Inbound::PlaybackFlush) => match &mut self.voice {
                Some(voice) => voice.flush(now),
                // Nobody listens, so it counts as heard.
                None => self.transmits.push_back(message::encode_playback_finished()),
            },
            Ok(Inbound::Audio(frame)) => {
                if let Some(voice) = &mut self.voice {
                    voice.receive(frame, now);
                }
            }
            Ok(Inbound::PlaybackClear) => self.cut_off(now),
            Ok(Inbound::Unknown { raw: None, .. }) => {}
            Ok(Inbound::Unknown { what, raw }) => {
                self.event(EventKind::Unknown { what: what.to_owned() }, raw, now);
            }
            Err(error) => self.event(EventKind::Error { message: error.to_string() }, None, now),
        }
        self.advance(now);
    }

    /// A message of `announced` bytes was not read to its end, of which `head` was kept: it is over
    /// the cap, or it was lost. An event over the cap is kept, cut; one that was lost is reported as a
    /// gap. A turn or a history is answered with what events told of it; any other call fails. The
    /// session lives on.
    pub fn receive_skipped(&mut self, announced: usize, head: &[u8], now: Time) {
        self.hear(now);
        let limit = self.config.limits.agent_message;
        let why = if announced > limit {
            format!("is {announced} bytes long; at most {limit} are taken")
        } else {
            "was lost: its stream stalled, or too much of what the agent sent was still unread; \
             keep the process responsive"
                .to_owned()
        };
        let error = Error::new(Code::TooLarge, format!("the agent's answer {why}. The session goes on."));
        let request = match message::peek_id(head) {
            Some((Kind::Response, id)) => self.request_number(&id),
            _ => None,
        };
        match request {
            Some(request) if self.active.as_ref().is_some_and(|active| active.request == Some(request)) => {
                if let Some(active) = self.active.take() {
                    self.pass_late(self.late.len());
                    if active.fold.has_cut_message() {
                        self.finish_turn(active, now);
                    } else {
                        self.fail_turn(active, error);
                    }
                }
            }
            Some(request) if self.waiting.contains_key(&request) => {
                if let Some(waiting) = self.waiting.remove(&request) {
                    let why =
                        format!("the agent's answer is {announced} bytes long; at most {limit} are taken");
                    match waiting.purpose {
                        Purpose::Call(call, "history") => self.answer_history_as_seen(call, &why, error),
                        purpose => self.fail(purpose, error, now),
                    }
                }
            }
            Some(request) => {
                if let Some(at) = self.late.iter().position(|late| late.request == request)
                    && let Some(late) = self.late.remove(at)
                {
                    self.late_response(late.fold, Vec::new(), Some(error.message), now);
                }
            }
            None if announced <= limit => {
                let report_at = now + GAP_DELAY;
                self.lost.get_or_insert(LostEvents { count: 0, report_at }).count += 1;
            }
            None => match message::salvage::events(announced, head) {
                Some(mut events) => {
                    self.tool_runs.take(&mut events);
                    events.into_iter().for_each(|kind| self.event(kind, None, now));
                }
                None => {
                    let what =
                        format!("a message of {announced} bytes, over the cap of {limit}, was skipped");
                    self.event(EventKind::Unknown { what }, None, now);
                }
            },
        }
        self.advance(now);
    }

    /// The link is gone: what is pending fails with `error` at once, and so will every later call.
    pub fn close(&mut self, reason: CloseReason, error: Error, now: Time) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        // A turn that was answered is over. One in which the agent hung up is, too: nothing more comes.
        let hung_up = reason == CloseReason::AgentEnded;
        if let Some(active) =
            self.active.take_if(|active| active.settling.is_some() || (hung_up && active.fold.is_heard()))
        {
            self.finish_turn(active, now);
        }
        self.report_lost(now);
        let kind = EventKind::Closed { reason, message: error.message.clone() };
        self.journal.record(kind, false, None, now);
        self.phase = Phase::Closed(error.clone());
        self.close_reason = Some(reason);
        self.transmits.clear();
        self.ended_voice = self.voice.take().map(|mut voice| {
            voice.end(now);
            voice
        });
        let calls = std::mem::take(&mut self.starts).into_iter().map(|(call, _)| call);
        let waiting =
            std::mem::take(&mut self.waiting).into_values().filter_map(|waiting| match waiting.purpose {
                Purpose::Call(call, _) => Some(call),
                _ => None,
            });
        let active = self.active.take().into_iter().map(|active| active.call);
        let over = self.over.take().into_iter().map(|over| over.call());
        let queued = std::mem::take(&mut self.queue).into_iter().map(|queued| queued.call);
        let failed: Vec<CallId> = calls.chain(waiting).chain(active).chain(over).chain(queued).collect();
        self.answers.extend(failed.into_iter().map(|call| (call, Err(error.clone()))));
        self.late.clear();
        self.unheard.clear();
    }

    /// The next message for the agent.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front().or_else(|| self.voice.as_mut()?.poll_frame())
    }

    /// Takes samples of a live source, such as a microphone: signed 16-bit little-endian, 48 kHz, mono. Its own clock paces it; what comes
    /// faster than it can be said is dropped and counted.
    pub fn feed(&mut self, samples: Bytes, now: Time) {
        if let Some(voice) = &mut self.voice {
            voice.feed(samples, now);
        }
    }

    /// Gives a device up to `most` samples of the agent's to play, where the config says that one pulls. Fewer are all there is.
    pub fn pull(&mut self, most: u64, now: Time) -> Bytes {
        self.voice.as_mut().map(|voice| voice.pull(most, now)).unwrap_or_default()
    }

    /// The next stretch of the recording: signed 16-bit little-endian, 48 kHz, the user left and the agent right. It is to be taken at
    /// every deadline.
    pub fn poll_recording(&mut self) -> Option<Bytes> {
        self.voice.as_mut().or(self.ended_voice.as_mut())?.poll_recording()
    }

    /// What was lost of the session's audio; `None` without any.
    pub fn losses(&self) -> Option<Losses> {
        self.voice.as_ref().or(self.ended_voice.as_ref()).map(Voice::losses)
    }

    /// The next answer.
    pub fn poll_answer(&mut self) -> Option<(CallId, Result<Answer, Error>)> {
        self.answers.pop_front()
    }

    /// When to call [`Controller::handle_timeout`]; `None` while nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Time> {
        let waiting = self.waiting.values().map(|waiting| waiting.deadline);
        let starts = self.starts.iter().map(|(_, deadline)| *deadline);
        let queued = self.queue.iter().map(|queued| queued.submitted + queued.timeout);
        let active = self.active.iter().map(|active| match active.settling {
            Some(settling) => self.settled_at(settling),
            None => active.submitted + active.timeout,
        });
        let over = self.over.iter().map(|over| self.over_at(over));
        let voice = self.voice.iter().map(Voice::poll_timeout);
        let lost = self.lost.iter().map(|lost| lost.report_at);
        let starting = match &self.phase {
            Phase::Starting(starting) if starting.open_requests == 0 => Some(self.started_at(starting)),
            Phase::Starting(starting) => starting.next_ping,
            _ => None,
        };
        let next_turn =
            if self.queue.is_empty() || self.active.is_some() { None } else { self.next_turn_at() };
        let ping = self.watch().and_then(|watch| self.liveness.due_at(watch));
        waiting
            .chain(starts)
            .chain(queued)
            .chain(active)
            .chain(over)
            .chain(voice)
            .chain(lost)
            .chain(starting)
            .chain(next_turn)
            .chain(ping)
            .min()
    }

    /// Lets pass what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.lost.as_ref().is_some_and(|lost| lost.report_at <= now) {
            self.report_lost(now);
        }
        let due: Vec<u64> =
            self.waiting.iter().filter(|(_, w)| w.deadline <= now).map(|(request, _)| *request).collect();
        for request in due {
            if let Some(waiting) = self.waiting.remove(&request) {
                let error = match waiting.purpose {
                    Purpose::Call(_, name) => self.timed_out(name, now),
                    Purpose::StartPing | Purpose::StartDetail(_) => self.unanswered_ping(),
                };
                self.fail(waiting.purpose, error, now);
            }
        }
        if let Phase::Starting(Starting { next_ping: Some(at), .. }) = self.phase
            && at <= now
        {
            self.ping_start(now);
        }
        let starts: Vec<CallId> =
            self.starts.iter().filter(|(_, deadline)| *deadline <= now).map(|(call, _)| *call).collect();
        let queued = self.queue.iter().filter(|q| q.submitted + q.timeout <= now).map(|q| q.call);
        let active = self
            .active
            .iter()
            .filter(|a| a.settling.is_none() && a.submitted + a.timeout <= now)
            .map(|a| a.call);
        let over = self.over.iter().filter(|over| over.deadline() <= now).map(Over::call);
        let turns: Vec<CallId> = queued.chain(active).chain(over).collect();
        for call in starts {
            self.give_up(call, self.timed_out("start", now), now);
        }
        for call in turns {
            let why = match self.liveness.silence(now) {
                Some(silence) => unresponsive(silence),
                None => {
                    "the turn may still be running, and what it says will be kept for the next".to_owned()
                }
            };
            let error = Error::new(Code::Timeout, format!("timed out waiting for the agent's reply; {why}"));
            self.give_up(call, error, now);
        }
        match self.watch().and_then(|watch| self.liveness.due(watch, now)) {
            Some(Due::Ping) => self.ping(),
            Some(Due::Report(silence)) => {
                let kind = EventKind::AgentUnresponsive { silent_ms: millis(silence), recovered: false };
                self.event(kind, None, now);
            }
            None => {}
        }
        self.advance(now);
    }

    /// The session's recent events.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Writes down an event that did not come over the wire, such as a line of the agent's log.
    pub fn record(&mut self, kind: EventKind, now: Time) {
        self.journal.record(kind, false, None, now);
    }

    /// Whether the session is ready for turns.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Why the session is closed; `None` while it is not.
    pub const fn closed(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Closed(error) => Some(error),
            _ => None,
        }
    }

    /// What the agent was doing when it last told.
    pub const fn agent_state(&self) -> Option<AgentState> {
        self.agent_state
    }

    /// How many turns have begun.
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether a turn is under way.
    pub const fn in_turn(&self) -> bool {
        self.active.is_some() || self.over.is_some()
    }

    /// How many events of earlier turns the next turn would show.
    pub fn unseen_events(&self) -> usize {
        self.backlog.len()
    }

    // ---- operations in -----------------------------------------------------------------------------------------------------------

    fn submit_start(&mut self, call: CallId, timeout: Option<Duration>, now: Time) -> Result<(), Error> {
        let most = self.config.limits.waiting_calls;
        if self.is_ready() {
            self.answers.push_back((call, Ok(Answer::Started(self.started.clone()))));
        } else if self.starts.len() >= most {
            return Err(Error::new(Code::Busy, format!("{most} calls wait for the start already")));
        } else {
            // Without a deadline of the caller's, those of the ping and the greeting bound the start.
            let timeout = timeout.unwrap_or(Duration::from_secs(24 * 60 * 60));
            self.starts.push((call, now + timeout));
        }
        Ok(())
    }

    fn submit_turn(
        &mut self,
        call: CallId,
        text: String,
        timeout: Option<Duration>,
        now: Time,
    ) -> Result<(), Error> {
        if text.trim().is_empty() {
            return Err(Error::new(
                Code::InvalidArgument,
                "the text to say is empty; pass at least one word",
            ));
        }
        let limit = self.config.limits.sent_message;
        // The longest id and the message around the text take less than this.
        const AROUND: usize = 128;
        if text.len() + AROUND > limit {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "the text to say is {} bytes long; the agent's SDK takes at most {}",
                    text.len(),
                    limit - AROUND
                ),
            ));
        }
        let (is_default, timeout) = (timeout.is_none(), timeout.unwrap_or(self.config.turn_timeout));
        self.queue_turn(Queued { call, text, saying: None, submitted: now, timeout, is_default })?;
        self.advance(now);
        Ok(())
    }

    fn queue_turn(&mut self, turn: Queued) -> Result<(), Error> {
        let most = self.config.limits.queued_turns;
        if self.queue.len() >= most {
            return Err(Error::new(
                Code::Busy,
                format!("{most} turns are waiting already; wait for one of them to end"),
            ));
        }
        self.queue.push_back(turn);
        Ok(())
    }

    fn submit_spoken(
        &mut self,
        call: CallId,
        spoken: SpokenTurn,
        timeout: Option<Duration>,
        now: Time,
    ) -> Result<(), Error> {
        if self.config.voice.is_none() {
            return Err(Error::new(
                Code::Unsupported,
                "this session has no audio; start it with audio to speak to the agent",
            ));
        }
        let SpokenTurn { audio, text, interrupt_after_ms, live } = spoken;
        let is_default = timeout.is_none();
        let timeout = timeout.unwrap_or(self.config.turn_timeout + audio.duration());
        let saying = Some(Saying::new(audio, live));
        let turn = Queued { call, text, saying, submitted: now, timeout, is_default };
        match interrupt_after_ms {
            None => self.queue_turn(turn)?,
            Some(after) => {
                let after = Duration::try_from_secs_f64(after / 1e3).map_err(|_| {
                    Error::new(
                        Code::InvalidArgument,
                        format!("an agent cannot be interrupted after {after} ms; pass 0 or more"),
                    )
                })?;
                if self.over.is_some() {
                    return Err(Error::new(
                        Code::Busy,
                        "another turn is waiting to interrupt the agent already; wait until it has",
                    ));
                }
                self.over = Some(Over::waiting(turn, after));
            }
        }
        self.advance(now);
        Ok(())
    }

    /// More of what a live turn says: what waits keeps it, what has begun says it.
    fn say_more(&mut self, call: CallId, more: &MoreSpeech, now: Time) -> Result<(), Error> {
        let longer = more.audio.as_ref().map_or(Duration::ZERO, Speech::duration);
        let waiting = self.queue.iter_mut().chain(self.over.as_mut().and_then(Over::waiting_mut));
        let mut taken = false;
        for turn in waiting {
            let Some(saying) = &mut turn.saying else { continue };
            if let Some(live) = saying.live().filter(|live| live.goes_on_with(more)) {
                live.take(more)?;
                if let Some(audio) = &more.audio {
                    saying.add(audio.samples());
                }
                turn.timeout += if turn.is_default { longer } else { Duration::ZERO };
                taken = true;
            }
        }
        let begun = self.active.as_mut().into_iter().chain(self.over.as_mut().and_then(Over::begun_mut));
        for turn in begun {
            let (Some(spoken), Some(voice)) = (&mut turn.spoken, &mut self.voice) else { continue };
            let utterance = spoken.utterance();
            if let Some(live) = spoken.live().filter(|live| live.goes_on_with(more)) {
                live.take(more)?;
                if let Some(audio) = &more.audio {
                    voice.add(utterance, audio.samples().clone(), now);
                }
                if more.last {
                    voice.complete(utterance);
                }
                turn.timeout += if turn.is_default { longer } else { Duration::ZERO };
                taken = true;
            }
        }
        if !taken {
            let message = format!("no turn called {:?} is being said any more", more.live);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        self.answers.push_back((call, Ok(Answer::Done)));
        self.advance(now);
        Ok(())
    }

    fn submit_call(
        &mut self,
        call: CallId,
        operation: Operation,
        timeout: Option<Duration>,
        now: Time,
    ) -> Result<(), Error> {
        if matches!(self.phase, Phase::Unlinked) {
            return Err(Error::new(
                Code::AgentGone,
                "the agent is not connected yet; wait for the session to start",
            ));
        }
        let most = self.config.limits.waiting_calls;
        if self.waiting.len() >= most {
            return Err(Error::new(Code::Busy, format!("{most} calls wait for their answer already")));
        }
        let name = operation.name();
        let deadline = now + timeout.unwrap_or(self.config.call_timeout);
        let request = self.next_request;
        self.request(operation)?;
        self.waiting.insert(request, Waiting { purpose: Purpose::Call(call, name), since: now, deadline });
        Ok(())
    }

    fn start_request(&mut self, detail: StartDetail) {
        if self.send_start_request(detail.operation(), Purpose::StartDetail(detail)).is_some()
            && let Phase::Starting(starting) = &mut self.phase
        {
            starting.open_requests += 1;
        }
    }

    /// Sends a request of the start and returns its number.
    fn send_start_request(&mut self, operation: Operation, purpose: Purpose) -> Option<u64> {
        let Phase::Starting(Starting { began: since, answered_by: deadline, .. }) = self.phase else {
            return None;
        };
        let request = self.next_request;
        self.request(operation).ok()?;
        self.waiting.insert(request, Waiting { purpose, since, deadline });
        Some(request)
    }

    /// Sends a start ping. An agent that has joined the room but whose session has not begun drops
    /// it, so it is repeated until one is answered.
    fn ping_start(&mut self, now: Time) {
        let request = self.send_start_request(Operation::Ping, Purpose::StartPing);
        let Phase::Starting(starting) = &mut self.phase else { return };
        starting.next_ping = Some(now + self.config.start_ping_every);
        starting.pings_sent += 1;
        starting.pings.extend(request);
        if starting.pings.len() > START_PINGS
            && let Some(oldest) = starting.pings.pop_front()
        {
            self.waiting.remove(&oldest);
        }
    }

    /// The agent answered a start ping. Requests of the start that were sent before it and have no
    /// answer yet may have been dropped like the earlier pings, so they are sent again.
    fn start_pong(&mut self, ping: u64, now: Time) {
        let details_by = now + self.config.start_details_timeout;
        let greeted_by = now + self.config.greeting_timeout;
        let Phase::Starting(starting) = &mut self.phase else { return };
        if starting.next_ping.take().is_none() {
            return;
        }
        starting.greeted_by = starting.answered_by.min(greeted_by);
        starting.answered_by = starting.answered_by.min(details_by);
        let is_repeated = starting.pings_sent > 1;
        for ping in std::mem::take(&mut starting.pings) {
            self.waiting.remove(&ping);
        }
        let details_by = starting.answered_by;
        let mut lost = Vec::new();
        for (request, waiting) in &mut self.waiting {
            if let Purpose::StartDetail(detail) = waiting.purpose {
                waiting.deadline = details_by;
                if is_repeated && *request < ping {
                    lost.push((*request, detail));
                }
            }
        }
        for (request, detail) in lost {
            self.waiting.remove(&request);
            if self.send_start_request(detail.operation(), Purpose::StartDetail(detail)).is_none() {
                self.start_step();
            }
        }
        self.start_step();
    }

    /// Sends a request under the next number.
    fn request(&mut self, operation: Operation) -> Result<(), Error> {
        let id = format!("{}-{}", self.config.id_prefix, self.next_request);
        let Some(message) = message::encode_request(&id, operation) else {
            return Ok(());
        };
        let limit = self.config.limits.sent_message;
        if message.len() > limit {
            return Err(Error::new(
                Code::TooLarge,
                format!("the request is {} bytes long; the agent's SDK takes at most {limit}", message.len()),
            ));
        }
        self.next_request += 1;
        self.transmits.push_back(message);
        Ok(())
    }

    /// Asks for a sign of life. Its id is that of no call: any message at all is an answer.
    fn ping(&mut self) {
        self.pings += 1;
        let id = format!("{}-ping{}", self.config.id_prefix, self.pings);
        self.transmits.extend(message::encode_request(&id, Operation::Ping));
    }

    fn give_up(&mut self, call: CallId, error: Error, now: Time) {
        let starts = self.starts.len();
        self.starts.retain(|(start, _)| *start != call);
        let mut found = self.starts.len() < starts;
        let queued = self.queue.len();
        self.queue.retain(|queued| queued.call != call);
        found |= self.queue.len() < queued;
        let over = self.over.take_if(|over| over.call() == call);
        found |= over.is_some();
        let over = over.and_then(Over::into_begun);
        let active = self.active.take_if(|active| active.call == call);
        for active in active.into_iter().chain(over) {
            found = true;
            let mut fold = active.fold;
            for event in fold.take_events() {
                self.backlog.push(Event { late: true, ..event });
            }
            match (active.request, active.spoken) {
                (Some(request), _) if active.settling.is_none() => {
                    self.late.push_back(Late { request, fold, is_past: false });
                    if self.late.len() > self.config.limits.late_turns {
                        self.late.pop_front();
                    }
                }
                (_, Some(spoken)) => {
                    if let Some(voice) = &mut self.voice {
                        voice.stop(spoken.utterance());
                    }
                }
                _ => self.remember_unheard(&fold),
            }
        }
        // The request itself stays out: its answer, should it come, belongs to nobody.
        let waiting = self.waiting.len();
        self.waiting.retain(|_, waiting| !matches!(waiting.purpose, Purpose::Call(id, _) if id == call));
        found |= self.waiting.len() < waiting;
        if found {
            self.answers.push_back((call, Err(error)));
            self.advance(now);
        }
    }

    fn fail(&mut self, purpose: Purpose, error: Error, now: Time) {
        match purpose {
            Purpose::Call(call, _) => self.answers.push_back((call, Err(error))),
            Purpose::StartDetail(_) => self.start_step(),
            Purpose::StartPing => self.close(CloseReason::StartFailed, error, now),
        }
    }

    // ---- messages in -------------------------------------------------------------------------------------------------------------

    /// Reports lost events as one gap.
    fn report_lost(&mut self, now: Time) {
        if let Some(lost) = self.lost.take() {
            self.event(EventKind::Gap { dropped: lost.count }, None, now);
        }
    }

    fn event(&mut self, kind: EventKind, raw: Option<String>, now: Time) {
        self.report_lost(now);
        if self.told.repeats(&kind) {
            return;
        }
        let hint = if self.has_hinted { None } else { stand_in_hint(&kind) };
        self.place_event(kind, raw, now);
        if let Some(hint) = hint {
            self.has_hinted = true;
            self.place_event(EventKind::Error { message: hint.to_owned() }, None, now);
        }
    }

    fn place_event(&mut self, kind: EventKind, raw: Option<String>, now: Time) {
        if let EventKind::State(StateChange::Agent { to, .. }) = &kind {
            self.agent_state = Some(*to);
        }
        if let EventKind::SessionClosed { reason, error } = &kind {
            self.session_end = Some((*reason, error.clone()));
        }
        if let EventKind::State(StateChange::User { to, .. }) = &kind {
            self.user_state = Some(*to);
        }
        if let Phase::Starting(starting) = &mut self.phase {
            starting.last_event = now;
        }
        let owner = self.owner(&kind);
        let late = matches!(owner, Owner::Late(_));
        let event = self.journal.record(kind, late, raw, now);
        match owner {
            Owner::Active | Owner::Interrupter => {
                let active = match owner {
                    Owner::Active => self.active.as_mut(),
                    _ => self.over.as_mut().and_then(Over::begun_mut),
                };
                if let Some(active) = active {
                    if let Some(spoken) = &mut active.spoken {
                        spoken.note(&event.kind, now);
                    }
                    // Where several drive an agent, a turn may have waited for somebody else's: what was seen so far is not of this one.
                    if active.fold.expects(&event.kind) {
                        active.fold.begin().into_iter().for_each(|event| self.backlog.push(event));
                    }
                    active.fold.event(&event, now);
                    if let Some(settling) = &mut active.settling {
                        settling.last_activity = now;
                    }
                }
            }
            Owner::Late(at) => {
                if let Some(late) = self.late.get_mut(at) {
                    late.fold.event(&event, now);
                    late.fold.take_events().into_iter().for_each(|event| self.backlog.push(event));
                }
            }
            Owner::Over => {}
            Owner::Nobody if event.kind.is_part_of_a_turn() => self.backlog.push(event),
            Owner::Nobody => {}
        }
    }

    /// What an event belongs to. A host works off its turns in order and begins each with the user's message; so until that of the
    /// turn under way is seen, what the host does still belongs to the one that was given up.
    fn owner(&mut self, kind: &EventKind) -> Owner {
        if let EventKind::Message(message) = kind
            && message.role == Role::User
        {
            if self.over.as_ref().is_some_and(|over| over.has_begun()) {
                return Owner::Interrupter;
            }
            if let Some(at) = self.unheard.iter().position(|text| *text == message.text) {
                self.unheard.remove(at);
                return Owner::Over;
            }
            if let Some(at) = self.late.iter().position(|late| !late.is_past && late.fold.expects(kind)) {
                self.pass_late(at);
                return Owner::Late(at);
            }
            if self.active.as_ref().is_some_and(|active| active.fold.is_spoken() || active.fold.expects(kind))
            {
                self.pass_late(self.late.len());
                self.told.forget_calls();
                return Owner::Active;
            }
        }
        if let Some(over) = self.over.as_ref().and_then(Over::begun)
            && (matches!(kind, EventKind::Transcript { .. })
                || over.fold.is_heard() && !self.is_rest_of_interrupted(kind))
        {
            return Owner::Interrupter;
        }
        match self.late.iter().position(|late| !late.is_past) {
            Some(at) => Owner::Late(at),
            None if self.active.is_some() => Owner::Active,
            None => Owner::Nobody,
        }
    }

    /// The host has gone on to the turn after the first `count` of those that were given up.
    fn pass_late(&mut self, count: usize) {
        self.late.iter_mut().take(count).for_each(|late| late.is_past = true);
    }

    /// Ends a turn that was answered, but not by a turn: what happened in it is shown with the next.
    fn fail_turn(&mut self, mut active: Active, error: Error) {
        active.fold.take_events().into_iter().for_each(|event| self.backlog.push(event));
        self.remember_unheard(&active.fold);
        self.answers.push_back((active.call, Err(error)));
    }

    fn remember_unheard(&mut self, fold: &Fold) {
        if fold.is_heard() || fold.is_spoken() {
            return;
        }
        if self.unheard.len() == UNHEARD {
            self.unheard.pop_front();
        }
        self.unheard.push_back(fold.text().to_owned());
    }

    fn hear(&mut self, now: Time) {
        if let Some(silence) = self.liveness.hear(now) {
            let kind = EventKind::AgentUnresponsive { silent_ms: millis(silence), recovered: true };
            self.event(kind, None, now);
        }
    }

    /// Since when the call has waited that has waited longest for the agent; `None` if none waits, or the user still speaks.
    fn waiting_since(&self) -> Option<Time> {
        if !self.is_ready() {
            return None;
        }
        // A ping that was asked for needs no other beside it.
        let is_ping = |waiting: &Waiting| matches!(waiting.purpose, Purpose::Call(_, "ping"));
        let calls = self.waiting.values().filter(|waiting| !is_ping(waiting)).map(|waiting| waiting.since);
        let turn = self.active.iter().filter(|active| active.settling.is_none());
        calls.chain(turn.map(|active| active.fold.asked())).min()
    }

    /// How the agent's silence is watched now, if it is.
    fn watch(&self) -> Option<Watch> {
        let for_answer = self.config.unresponsive_after;
        if let Some(since) = self.waiting_since() {
            return Some(Watch { since, before_ping: self.config.ping_after, for_answer });
        }
        let before_ping = self.config.idle_ping_after.filter(|_| self.is_ready())?;
        Some(Watch { since: Time::ZERO, before_ping, for_answer })
    }

    /// The agent has ended its session, as its log tells where the wire does not.
    pub fn session_closed(&mut self, reason: SessionCloseReason, error: Option<String>, now: Time) {
        if self.session_end.is_none() {
            self.event(EventKind::SessionClosed { reason, error }, None, now);
        }
    }

    /// Why the agent has ended its session, and what failed, if it has told.
    pub const fn session_end(&self) -> Option<&(SessionCloseReason, Option<String>)> {
        self.session_end.as_ref()
    }

    /// For how long the agent has been silent, if it has not answered a ping in time.
    pub fn silence(&self, now: Time) -> Option<Duration> {
        self.liveness.silence(now)
    }

    fn timed_out(&self, name: &str, now: Time) -> Error {
        let why = match self.liveness.silence(now) {
            Some(silence) => unresponsive(silence),
            None => "released SDKs leave requests that they do not know unanswered".to_owned(),
        };
        Error::new(Code::Timeout, format!("the agent did not answer {name} in time; {why}"))
    }

    // ---- the history without the agent ---------------------------------------------------------------------------------------------

    /// The conversation as events told of it; `None` if they told nothing. `why` says why these are not the agent's own words.
    fn history_as_seen(&self, why: &str) -> Option<Answer> {
        let mut items = Vec::new();
        let mut dropped = 0;
        for event in self.journal.read(0, usize::MAX).events {
            match event.kind {
                EventKind::Message(message) => items.push(Item::Message(message)),
                EventKind::ToolCall(call) => items.push(Item::ToolCall(call)),
                EventKind::Handoff(handoff) => items.push(Item::Handoff(handoff)),
                EventKind::Config(update) => items.push(Item::Config(update)),
                EventKind::Gap { dropped: missing } => dropped += missing,
                _ => {}
            }
        }
        if items.is_empty() {
            return None;
        }
        let earlier = if dropped == 0 {
            String::new()
        } else {
            format!("; the content of the oldest {dropped} events is missing")
        };
        let what = format!("{why}; the conversation below is rebuilt from events{earlier}");
        items.insert(0, Item::Unknown { what });
        Some(Answer::History { items })
    }

    fn answer_history_as_seen(&mut self, call: CallId, why: &str, error: Error) {
        let answer = self.history_as_seen(why).ok_or(error);
        self.answers.push_back((call, answer));
    }

    /// The conversation of a session that was not closed on this side.
    fn history_after_close(&self) -> Option<Answer> {
        match self.close_reason? {
            CloseReason::Closed | CloseReason::StartFailed | CloseReason::DaemonGone => None,
            reason => self.history_as_seen(&format!("the session has ended ({})", reason.as_str())),
        }
    }

    fn response(&mut self, mut response: Response, now: Time) {
        if let Some(
            Payload::RunInput(items)
            | Payload::Answer(Answer::History { items } | Answer::AgentInfo(AgentInfo { context: items, .. })),
        ) = &mut response.payload
        {
            self.tool_runs.take_items(items);
        }
        let Some(request) = self.request_number(&response.request_id) else {
            return;
        };
        if let Some(waiting) = self.waiting.remove(&request) {
            return match waiting.purpose {
                Purpose::Call(call, name) => match call_answer(name, response) {
                    Err(error) if name == "history" && error.code == Code::AgentError => {
                        let why = format!("{}{}", error.message, unencodable(&error.message));
                        self.answer_history_as_seen(call, &why, error);
                    }
                    answer => self.answers.push_back((call, answer)),
                },
                Purpose::StartPing
                    if let Some(refused) =
                        response.error.as_deref().and_then(|error| refusal("start a session", error)) =>
                {
                    self.fail(Purpose::StartPing, refused, now);
                }
                Purpose::StartPing => self.start_pong(request, now),
                Purpose::StartDetail(_) => {
                    self.start_detail(response.payload);
                    self.start_step();
                }
            };
        }
        let items = match response.payload {
            Some(Payload::RunInput(items)) => items,
            _ => Vec::new(),
        };
        if let Some(mut active) = self.active.take_if(|active| active.request == Some(request)) {
            self.pass_late(self.late.len());
            self.told.forget_calls();
            if let Some(refused) = response.error.as_deref().and_then(|error| refusal("say", error)) {
                return self.fail_turn(active, refused);
            }
            active.fold.adopt(self.taken_for_late(&active.fold, &items), now);
            let has_failed = response.error.is_some();
            let error = response.error.map(|error| {
                let why = unencodable(&error);
                error + why
            });
            for item in active.fold.response(items, error, |id| self.told.knows(id)) {
                self.told.item(&item);
                let event = self.journal.record(item.into(), false, None, now);
                active.fold.event(&event, now);
            }
            // An SDK that could not encode what a tool gave back tells of the call by its beginning alone.
            for call in if has_failed { self.tool_runs.take_untold() } else { Vec::new() } {
                let event = self.journal.record(EventKind::ToolCall(call), false, None, now);
                active.fold.event(&event, now);
            }
            let awaits_introduction = active.fold.awaits_introduction();
            let longest =
                if awaits_introduction { self.config.introduction_timeout } else { self.config.turn_settle };
            active.settling =
                Some(Settling { last_activity: now, until: now + longest, awaits_introduction });
            self.active = Some(active);
        } else if let Some(at) = self.late.iter().position(|late| late.request == request)
            && let Some(late) = self.late.remove(at)
        {
            self.late_response(late.fold, items, response.error, now);
        }
    }

    /// Events that were taken for those of a turn that was given up, though the answer shows that they belong to the turn under way.
    fn taken_for_late(&mut self, fold: &Fold, items: &[Item]) -> Vec<Event> {
        if self.late.is_empty() {
            return Vec::new();
        }
        let ids: HashSet<&str> = items.iter().map(Item::id).filter(|id| !id.is_empty()).collect();
        let calls = items.iter().filter_map(|item| match item {
            Item::ToolCall(call) if !fold.has_call(&call.call_id) => {
                Some((call.call_id.as_str(), call.arguments.as_str()))
            }
            _ => None,
        });
        let calls: HashSet<(&str, &str)> = calls.collect();
        self.backlog.extract(|event| {
            event.late
                && match &event.kind {
                    EventKind::Message(message) => ids.contains(message.id.as_str()),
                    EventKind::Handoff(handoff) => ids.contains(handoff.id.as_str()),
                    EventKind::Config(update) => ids.contains(update.id.as_str()),
                    EventKind::ToolCall(call) => {
                        calls.contains(&(call.call_id.as_str(), call.arguments.as_str()))
                    }
                    _ => false,
                }
        })
    }

    fn late_response(&mut self, mut fold: Fold, items: Vec<Item>, error: Option<String>, now: Time) {
        for item in fold.response(items, error, |id| self.told.knows(id)) {
            self.told.item(&item);
            let event = self.journal.record(item.into(), true, None, now);
            fold.event(&event, now);
        }
        fold.take_events().into_iter().for_each(|event| self.backlog.push(event));
        self.remember_unheard(&fold);
        let kind =
            EventKind::LateTurn { text: fold.text().to_owned(), reply: fold.reply(), error: fold.error() };
        self.journal.record(kind, true, None, now);
    }

    fn request_number(&self, id: &str) -> Option<u64> {
        id.strip_prefix(self.config.id_prefix.as_str())?.strip_prefix('-')?.parse().ok()
    }

    // ---- what follows ------------------------------------------------------------------------------------------------------------

    /// Ends what is over and begins what can begin.
    fn advance(&mut self, now: Time) {
        if let Some(voice) = &mut self.voice {
            let acknowledged = voice.advance(now);
            let finished = std::iter::repeat_with(message::encode_playback_finished);
            self.transmits.extend(finished.take(acknowledged));
        }
        if let Some(over) = &mut self.over
            && self.active.is_some()
        {
            over.see_turn();
        }
        self.interrupt(now);
        if let Phase::Starting(starting) = &self.phase
            && starting.open_requests == 0
            && self.started_at(starting) <= now
        {
            self.finish_start(now);
        }
        if let Some(active) = &self.active
            && let Some(settling) = active.settling
            && self.is_over(&active.fold, settling, now)
            && let Some(active) = self.active.take()
        {
            self.finish_turn(active, now);
        }
        self.finish_spoken(now);
        while self.is_ready()
            && self.active.is_none()
            && self.next_turn_at().is_none_or(|at| at <= now)
            && let Some(queued) = self.queue.pop_front()
        {
            self.begin_turn(queued, now);
        }
    }

    /// Until when the next turn waits for the agent to begin with the one that was given up: a host that gets two at once answers the
    /// later with an error (@livekit/agents 1.9.0: `internal error`).
    fn next_turn_at(&self) -> Option<Time> {
        let late = self.late.back().filter(|late| !late.fold.is_heard())?;
        Some(late.fold.asked() + self.config.turn_settle)
    }

    fn begin_turn(&mut self, queued: Queued, now: Time) {
        self.tool_runs.forget_untold();
        let request = match &queued.saying {
            Some(_) => None,
            None => Some(self.next_request),
        };
        let begun = match request {
            Some(_) => self.request(Operation::Say { text: queued.text.clone() }),
            None => Ok(()),
        };
        match begun {
            Ok(()) => {
                if let Some(voice) = &mut self.voice {
                    // What was heard before is of no turn.
                    voice.take_heard(now);
                }
                self.active = Some(self.activate(queued, request, now));
            }
            Err(error) => self.answers.push_back((queued.call, Err(error))),
        }
    }

    /// Begins a turn, whose user begins to speak if that is how the turn goes.
    fn activate(&mut self, queued: Queued, request: Option<u64>, now: Time) -> Active {
        self.turns += 1;
        let waited = now.since(queued.submitted);
        let spoken = match (&mut self.voice, queued.saying) {
            (Some(voice), Some(saying)) => Some(saying.begin(voice, now)),
            _ => None,
        };
        let limits = &self.config.limits;
        let fold = match spoken {
            Some(_) => Fold::spoken(limits, self.turns, queued.text, waited, now),
            None => Fold::new(limits, self.turns, queued.text, waited, now),
        };
        Active {
            call: queued.call,
            request,
            fold,
            spoken,
            cut: None,
            submitted: queued.submitted,
            timeout: queued.timeout,
            is_default: queued.is_default,
            settling: None,
        }
    }

    fn finish_turn(&mut self, active: Active, now: Time) {
        self.remember_unheard(&active.fold);
        let voice = self.voice.as_mut().map(|voice| {
            let asked = active.fold.asked();
            super::spoken::report(voice, active.spoken.as_ref(), active.cut, asked, now)
        });
        let turn: Turn = active.fold.finish(self.backlog.take(), voice, now);
        self.answers.push_back((active.call, Ok(Answer::Turn(turn))));
    }

    // ---- spoken turns --------------------------------------------------------------------------------------------------------------

    /// The agent was told to be silent: what is not heard yet never will be.
    fn cut_off(&mut self, now: Time) {
        let Some(voice) = &mut self.voice else { return };
        let Some(cut) = voice.clear(now) else { return };
        let at = voice.time(cut.at);
        let interrupter = self.over.as_mut().and_then(Over::begun_mut);
        if let Some(spoken) = interrupter.and_then(|interrupter| interrupter.spoken.as_mut()) {
            spoken.yielded(voice, at);
        }
        match &mut self.active {
            // It interrupts what the agent says of itself, or after its turn.
            Some(Active { spoken: Some(spoken), .. }) if spoken.interrupts() => spoken.yielded(voice, at),
            Some(active) => active.cut = Some(cut.heard),
            None => {}
        }
    }

    /// When a turn that is to interrupt has to be looked at.
    fn over_at(&self, over: &Over) -> Time {
        let speaking = self.voice.as_ref().and_then(Voice::speaking_since);
        over.due(speaking).map_or(over.deadline(), |due| due.min(over.deadline()))
    }

    /// Lets the user speak who waits for the agent to have spoken for so long.
    fn interrupt(&mut self, now: Time) {
        let Some(voice) = &self.voice else { return };
        let speaking = voice.speaking_since();
        if let Some(over) = &self.over
            && over.due(speaking).is_some_and(|due| due <= now)
            && let Some(queued) = self.over.take().and_then(Over::into_waiting)
        {
            let mut begun = self.activate(queued, None, now);
            if let Some(spoken) = &mut begun.spoken {
                spoken.interrupt();
            }
            if self.active.is_some() {
                self.over = Some(Over::Begun(Box::new(begun)));
            } else {
                self.active = Some(begun);
            }
        }
    }

    /// What the agent still says of a turn that was interrupted: its message comes after it was cut off.
    fn is_rest_of_interrupted(&self, kind: &EventKind) -> bool {
        matches!(kind, EventKind::Message(message) if message.interrupted)
            && self.active.as_ref().is_some_and(|active| active.fold.reply().is_empty())
    }

    /// Ends a spoken turn that is over, and makes the turn that interrupted it the one under way.
    fn finish_spoken(&mut self, now: Time) {
        let agent_is_busy = self.agent_is_busy();
        let user_is_speaking = self.user_state == Some(UserState::Speaking);
        if let Some(voice) = &mut self.voice {
            let circumstances = Circumstances {
                agent_is_busy,
                user_is_speaking,
                agent_is_heard: voice.is_speaking(now),
                turn_settle: self.config.turn_settle,
                introduction_timeout: self.config.introduction_timeout,
            };
            let is_interrupted = self.over.as_ref().is_some_and(Over::has_begun);
            let mut is_over = |active: &mut Active, is_interrupted| match &mut active.spoken {
                Some(spoken) => spoken.is_over(&active.fold, voice, &circumstances, is_interrupted, now),
                None => false,
            };
            if self.active.as_mut().is_some_and(|active| is_over(active, is_interrupted))
                && let Some(active) = self.active.take()
            {
                self.finish_turn(active, now);
            }
        }
        if self.active.is_none() && self.over.as_ref().is_some_and(Over::has_begun) {
            self.active = self.over.take().and_then(Over::into_begun);
        }
        if self.active.is_none()
            && self.is_too_late_to_interrupt()
            && let Some(over) = self.over.take()
        {
            let error = Error::new(
                Code::Timeout,
                "the agent was done speaking before it could be interrupted; interrupt it earlier, or let it say more",
            );
            self.answers.push_back((over.call(), Err(error)));
        }
    }

    /// The turn that was to be interrupted is over.
    fn is_too_late_to_interrupt(&self) -> bool {
        self.over.as_ref().is_some_and(|over| over.saw_turn()) && self.active.is_none()
    }

    fn is_over(&self, fold: &Fold, settling: Settling, now: Time) -> bool {
        let complete = if settling.awaits_introduction {
            !fold.awaits_introduction()
        } else {
            !fold.may_be_interrupted() || fold.has_foreign_input()
        };
        complete || self.settled_at(settling) <= now
    }

    fn settled_at(&self, settling: Settling) -> Time {
        if settling.awaits_introduction && self.agent_is_busy() {
            return settling.until;
        }
        settling.until.min(settling.last_activity + self.config.turn_settle)
    }

    fn start_step(&mut self) {
        if let Phase::Starting(starting) = &mut self.phase {
            starting.open_requests = starting.open_requests.saturating_sub(1);
        }
    }

    fn start_detail(&mut self, payload: Option<Payload>) {
        match payload {
            Some(Payload::Answer(Answer::FrameworkInfo(info))) => self.started.framework = Some(info),
            Some(Payload::Answer(Answer::SessionState(SessionState { agent_state, agent_id, .. }))) => {
                self.started.agent_id = Some(agent_id);
                self.agent_state.get_or_insert(agent_state);
            }
            Some(Payload::Answer(Answer::History { items })) => {
                if let Phase::Starting(starting) = &mut self.phase {
                    starting.history = Some(items);
                }
            }
            _ => {}
        }
    }

    fn started_at(&self, starting: &Starting) -> Time {
        if self.agent_is_busy() {
            return starting.greeted_by;
        }
        starting.greeted_by.min(starting.last_event + self.config.start_settle)
    }

    fn unanswered_ping(&self) -> Error {
        let within = match &self.phase {
            Phase::Starting(starting) => starting.answered_by.since(starting.began),
            _ => self.config.ready_timeout,
        };
        let within = in_words(within);
        let message = match self.config.agent_place {
            AgentPlace::Process => {
                format!("the agent connected but did not answer a ping within {within}; its log may say why")
            }
            AgentPlace::Room => format!(
                "the agent is in the room but did not answer a ping within {within}: its session has not \
                 started, or was started without a session host, or its host does not accept this participant"
            ),
            AgentPlace::SameProcess => format!(
                "the agent's session did not answer a ping within {within}: the event loop is blocked, or \
                 the session has ended"
            ),
        };
        Error::new(Code::Timeout, message)
    }

    fn agent_is_busy(&self) -> bool {
        matches!(
            self.agent_state,
            Some(AgentState::Initializing | AgentState::Thinking | AgentState::Speaking)
        )
    }

    fn finish_start(&mut self, now: Time) {
        let Phase::Starting(mut starting) = std::mem::replace(&mut self.phase, Phase::Ready) else { return };
        let mut live = Fold::new(&self.config.limits, 0, String::new(), Duration::ZERO, now);
        for event in self.backlog.iter() {
            live.event(event, now);
        }
        let history = starting.history.take().unwrap_or_default();
        let mut events = Vec::new();
        for item in live.response(history, None, |id| self.told.knows(id)) {
            self.told.item(&item);
            // The instructions and tools that an agent begins with are no change; `agent_info` tells them.
            if !matches!(item, Item::Config(_)) {
                events.push(self.journal.record(item.into(), false, None, now));
            }
        }
        self.told.forget_calls();
        events.extend(self.backlog.take());
        let starts = std::mem::take(&mut self.starts);
        if starts.is_empty() {
            events.into_iter().for_each(|event| self.backlog.push(event));
            return;
        }
        let started = Started { events, ..self.started.clone() };
        self.answers.extend(starts.into_iter().map(|(call, _)| (call, Ok(Answer::Started(started.clone())))));
    }
}

fn call_answer(name: &'static str, response: Response) -> Result<Answer, Error> {
    if let Some(error) = response.error {
        if let Some(refused) = refusal(name, &error) {
            return Err(refused);
        }
        let error = if error.is_empty() { WORDLESS } else { &error };
        let mut failed =
            Error::new(Code::AgentError, format!("the agent answered {name} with an error: {error}"));
        if let Some(Payload::Answer(Answer::Verdict(verdict))) = response.payload
            && !verdict.missing
        {
            let word = if verdict.success { "success" } else { "failure" };
            failed = failed.with_detail(format!("its verdict all the same: {word}: {}", verdict.reason));
        }
        return Err(failed);
    }
    match response.payload {
        Some(Payload::Answer(answer)) if answer.is_for(name) => Ok(answer),
        _ => Err(Error::new(
            Code::ProtocolError,
            format!(
                "the agent answered {name} with something else; its SDK may be newer than this Greenroom"
            ),
        )),
    }
}

/// What the gate in front of an agent answers in its place.
fn refusal(name: &str, error: &str) -> Option<Error> {
    match error {
        PERMISSION_DENIED => Some(Error::new(
            Code::PermissionDenied,
            format!(
                "this participant may not {name}: its token lacks the grant canManageAgentSession, or the agent's author does not let it"
            ),
        )),
        UNSUPPORTED_REQUEST => Some(Error::new(
            Code::Unsupported,
            format!("the agent's side does not know the request {name}; it may be older than this Greenroom"),
        )),
        _ => None,
    }
}

/// What to say of an event that shows that the agent stumbled over a stand-in for a room.
fn stand_in_hint(kind: &EventKind) -> Option<&'static str> {
    match kind {
        EventKind::Message(message) if message.role == Role::Assistant => stand_in::hint(&message.text),
        EventKind::ToolCall(call) => {
            call.error.iter().chain(&call.output).find_map(|text| stand_in::hint(text))
        }
        EventKind::Error { message } => stand_in::hint(message),
        _ => None,
    }
}

fn unresponsive(silence: Duration) -> String {
    format!(
        "it has answered nothing for {}, not even a ping: its event loop is blocked, as by a call that is not awaited",
        in_words(Duration::from_secs(silence.as_secs()))
    )
}

/// What an agent's error about text that is no Unicode means, to stand behind it.
fn unencodable(error: &str) -> &'static str {
    if error.contains("surrogates not allowed") {
        " (the agent's SDK cannot send text with a lone surrogate, half of an emoji; clean what the tool or the model returns)"
    } else if error.ends_with("internal error") {
        " (the agent's SDK failed to encode it; its log has the exception)"
    } else {
        ""
    }
}
