//! The stage of these tests: a controller, an agent that does what the test says, and a clock that jumps to the next deadline.
//!
//! The link between them loses nothing and keeps the order. Every message goes over it encoded.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use greenroom_protocol::error::{Code, Error};
use greenroom_protocol::message::{Answer, Event, EventKind, Operation, Started};
use greenroom_protocol::session::{CallId, Config, Controller};
use greenroom_protocol::time::{Time, WallClock};
use greenroom_protocol::turn::Turn;
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::session_request::Request as Ask;
use greenroom_protocol::wire::session_response::{self as payload, Response as Payload};
use greenroom_protocol::wire::{self, chat_context::ChatItem};
use prost::Message as _;

use crate::script;

/// A request as the agent reads it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) ask: Option<Ask>,
}

impl Asked {
    /// What the user says, in a request for a turn.
    pub(crate) fn text(&self) -> &str {
        match &self.ask {
            Some(Ask::RunInput(run)) => &run.text,
            other => panic!("not a turn: {other:?}"),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) controller: Controller,
    pub(crate) now: Time,
    /// Requests that the agent has not answered, oldest first.
    pub(crate) asked: Vec<Asked>,
    /// Whether the agent's event loop turns: then the pings that no call asked for are answered at once.
    pub(crate) answers_pings: bool,
    /// Acknowledged flushes.
    pub(crate) acks: usize,
    /// The user's audio as it came to the agent: when, and the samples of one frame.
    pub(crate) frames: Vec<(Time, Bytes)>,
    answers: BTreeMap<CallId, Result<Answer, Error>>,
    taken: Vec<CallId>,
}

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn clock() -> WallClock {
    // 2026-11-21T00:00:00Z
    WallClock::new(Time::ZERO, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_219_200))
}

impl Stage {
    /// A controller whose link is not there yet.
    pub(crate) fn unlinked(config: Config) -> Self {
        Self {
            controller: Controller::new(config, clock()),
            now: Time::ZERO,
            asked: Vec::new(),
            answers_pings: true,
            acks: 0,
            frames: Vec::new(),
            answers: BTreeMap::new(),
            taken: Vec::new(),
        }
    }

    /// A session that is ready, with an agent that has said nothing yet.
    pub(crate) fn ready() -> Self {
        Self::ready_with(Config::default())
    }

    pub(crate) fn ready_with(config: Config) -> Self {
        let mut stage = Self::unlinked(config);
        let start = stage.open();
        stage.answer_start(&[]);
        stage.wait(secs(1.0));
        stage.started(start);
        stage
    }

    /// Puts the link up and asks for the start.
    pub(crate) fn open(&mut self) -> CallId {
        self.controller.open(self.now);
        self.submit(Operation::Start)
    }

    /// The same, for a session that is to be ready within that time.
    pub(crate) fn open_within(&mut self, within: Duration) -> CallId {
        self.controller.open_by(self.now + within, self.now);
        self.submit(Operation::Start)
    }

    /// Answers everything that a start asks, as an idle agent does.
    pub(crate) fn answer_start(&mut self, history: &[ChatItem]) {
        for asked in std::mem::take(&mut self.asked) {
            let answer = match asked.ask {
                Some(Ask::Ping(_)) => Payload::Pong(payload::Pong {}),
                Some(Ask::UpdateIo(_)) => Payload::UpdateIo(payload::UpdateIoResponse {}),
                Some(Ask::GetFrameworkInfo(_)) => {
                    Payload::GetFrameworkInfo(payload::GetFrameworkInfoResponse {
                        sdk: "python".to_owned(),
                        sdk_version: "1.8.9".to_owned(),
                    })
                }
                Some(Ask::GetSessionState(_)) => Payload::GetSessionState(payload::GetSessionStateResponse {
                    agent_state: wire::AgentState::AsListening.into(),
                    agent_id: "main".to_owned(),
                    ..Default::default()
                }),
                Some(Ask::GetChatHistory(_)) => {
                    Payload::GetChatHistory(payload::GetChatHistoryResponse { items: history.to_vec() })
                }
                other => panic!("a start does not ask for {other:?}"),
            };
            self.respond(&asked.id, None, Some(answer));
        }
    }

    // ---- the user's side ------------------------------------------------------------------------------------------------------

    pub(crate) fn submit(&mut self, operation: Operation) -> CallId {
        self.submit_within(operation, None)
    }

    pub(crate) fn submit_within(&mut self, operation: Operation, timeout: Option<Duration>) -> CallId {
        let call = self.controller.submit(operation, timeout, self.now);
        self.pump();
        call
    }

    pub(crate) fn say(&mut self, text: &str) -> CallId {
        self.submit(Operation::Say { text: text.to_owned() })
    }

    pub(crate) fn say_within(&mut self, text: &str, seconds: f64) -> CallId {
        self.submit_within(Operation::Say { text: text.to_owned() }, Some(secs(seconds)))
    }

    pub(crate) fn cancel(&mut self, call: CallId) {
        self.controller.cancel(call, self.now);
        self.pump();
    }

    /// Lets time pass, from deadline to deadline.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut rounds = 0;
        while let Some(at) = self.controller.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.controller.handle_timeout(self.now);
            self.pump();
            rounds += 1;
            assert!(rounds < 10_000, "the deadline at {at:?} never passes");
        }
        self.now = end;
    }

    pub(crate) fn answer(&mut self, call: CallId) -> Option<Result<Answer, Error>> {
        let answer = self.answers.remove(&call)?;
        self.taken.push(call);
        Some(answer)
    }

    #[track_caller]
    pub(crate) fn turn(&mut self, call: CallId) -> Turn {
        match self.answer(call) {
            Some(Ok(Answer::Turn(turn))) => turn,
            other => panic!("no turn: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn started(&mut self, call: CallId) -> Started {
        match self.answer(call) {
            Some(Ok(Answer::Started(started))) => started,
            other => panic!("not started: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn error(&mut self, call: CallId) -> Error {
        match self.answer(call) {
            Some(Err(error)) => error,
            other => panic!("no error: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn fails_with(&mut self, call: CallId, code: Code) {
        let error = self.error(call);
        assert_eq!(error.code, code, "{error}");
    }

    pub(crate) fn close(&mut self, message: &str) {
        let error = Error::new(Code::AgentGone, message);
        self.controller.close(greenroom_protocol::message::CloseReason::AgentExited, error, self.now);
        self.pump();
    }

    /// Every event of the session.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.controller.journal().read(0, usize::MAX).events
    }

    pub(crate) fn events_named(&self, name: &str) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.kind.name() == name).collect()
    }

    // ---- the agent's side -----------------------------------------------------------------------------------------------------

    /// Takes the oldest unanswered request, which must be for a turn with this text.
    #[track_caller]
    pub(crate) fn heard(&mut self, text: &str) -> String {
        assert!(!self.asked.is_empty(), "nothing was asked");
        let asked = self.asked.remove(0);
        assert_eq!(asked.text(), text);
        asked.id
    }

    /// Takes the oldest unanswered request.
    #[track_caller]
    pub(crate) fn next_asked(&mut self) -> Asked {
        assert!(!self.asked.is_empty(), "nothing was asked");
        self.asked.remove(0)
    }

    pub(crate) fn deliver(&mut self, bytes: impl Into<Bytes>) {
        self.controller.receive(&bytes.into(), self.now);
        self.pump();
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.deliver(script::encode(message));
    }

    /// Sends events in order.
    pub(crate) fn emit(&mut self, events: impl IntoIterator<Item = script::WireEvent>) {
        for event in events {
            self.send(script::event(event));
        }
    }

    pub(crate) fn respond(&mut self, id: &str, error: Option<&str>, answer: Option<Payload>) {
        self.send(script::response(id, error, answer));
    }

    /// Answers a turn with these items.
    pub(crate) fn respond_items(&mut self, id: &str, items: impl IntoIterator<Item = ChatItem>) {
        self.send(script::run_input(id, None, items));
    }

    /// Answers a turn with an error; hosts always set the payload beside it.
    pub(crate) fn respond_error(&mut self, id: &str, error: &str) {
        self.send(script::run_input(id, Some(error), []));
    }

    /// A whole turn as both SDKs play it: the user's message, the agent's, the response.
    pub(crate) fn play(&mut self, text: &str, reply: &str) {
        let id = self.heard(text);
        let (user, agent) = (script::user(text), script::assistant(reply));
        self.emit([
            script::added(user),
            script::state(2, 3),
            script::usage(),
            script::state(3, 4),
            script::added(agent.clone()),
            script::state(4, 2),
        ]);
        self.respond_items(&id, [agent]);
    }

    /// Takes what the controller has to send and to tell.
    pub(crate) fn pump(&mut self) {
        while let Some(bytes) = self.controller.poll_transmit() {
            match wire::AgentSessionMessage::decode(bytes).expect("what we send is the protocol").message {
                Some(Message::Request(request)) if request.request_id.contains("-ping") => {
                    if self.answers_pings {
                        let pong = Payload::Pong(payload::Pong {});
                        let pong = script::response(&request.request_id, None, Some(pong));
                        self.controller.receive(&script::encode(pong), self.now);
                    }
                }
                Some(Message::Request(request)) => {
                    self.asked.push(Asked { id: request.request_id, ask: request.request });
                }
                Some(Message::AudioPlaybackFinished(_)) => self.acks += 1,
                Some(Message::AudioInput(frame)) => {
                    assert_eq!((frame.sample_rate, frame.num_channels), (48_000, 1));
                    assert_eq!(frame.data.len(), frame.samples_per_channel as usize * 2);
                    self.frames.push((self.now, frame.data));
                }
                other => panic!("a controller does not send {other:?}"),
            }
        }
        while let Some((call, answer)) = self.controller.poll_answer() {
            assert!(!self.taken.contains(&call), "{call:?} is answered twice");
            let before = self.answers.insert(call, answer);
            assert!(before.is_none(), "{call:?} is answered twice");
        }
    }
}

/// An event in a few words: `tool lookup(…) -> out`, `Agent: hi`.
pub(crate) fn brief(event: &Event) -> String {
    let mark = match (event.earlier, event.late) {
        (false, false) => "",
        (true, false) => "earlier ",
        (false, true) => "late ",
        (true, true) => "earlier late ",
    };
    let what = match &event.kind {
        EventKind::Message(message) => format!("{}: {}", message.role, message.text),
        EventKind::ToolCall(call) => {
            let arrow = if call.is_error { "!>" } else { "->" };
            format!("{}({}) {arrow} {}", call.name, call.arguments, call.output.as_deref().unwrap_or("?"))
        }
        EventKind::Handoff(handoff) => format!("{} => {}", handoff.from.as_deref().unwrap_or(""), handoff.to),
        EventKind::Error { message } => format!("error: {message}"),
        EventKind::Gap { dropped } => format!("gap of {dropped}"),
        other => other.name().to_owned(),
    };
    format!("{mark}{what}")
}

pub(crate) fn briefs(events: &[Event]) -> Vec<String> {
    events.iter().map(brief).collect()
}
