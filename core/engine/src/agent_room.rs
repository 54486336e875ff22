//! The session of an agent in a room: a controller whose messages go as byte streams to one participant, and come from it alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use greenroom_protocol::gate::Peer;
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::room::{Incoming, Outgoing, Recipient, StreamId, Switchboard};
use greenroom_protocol::session::Config;
use greenroom_protocol::time::in_words;
use greenroom_protocol::{Code, Error, Secret, Time};
use greenroom_room::{
    Closer, Feed, Listener, Participant, ParticipantKind, RoomEvent, RoomOptions, RoomTask, SendOptions,
    StreamInfo, Transport,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use crate::driver::lock;
use crate::run::{CloseCause, close, failed_start, step, unless_closing};
use crate::session::{AgentChannel, Shared};

/// The topic of agent sessions.
const TOPIC: &str = "lk.agent.session";

/// How to join a room and drive the session of an agent in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinOptions {
    /// Which room, and as whom. The token has to grant `canManageAgentSession`.
    pub room: RoomOptions,
    /// The identity of the agent; `None` is the only participant of the room that is an agent.
    pub agent: Option<String>,
    /// From the call until the session is ready: to connect, to wait for the agent, to have its first answer. 60 s.
    pub start_timeout: Duration,
    /// How the protocol behaves. The agent's audio is left as it is: it may be talking to people.
    pub controller: Config,
    /// After how long without any call the session ends by itself; `None` is never.
    pub idle_timeout: Option<Duration>,
}

impl JoinOptions {
    /// The session of the only agent of the room that the token names.
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        let AttachOptions { agent, start_timeout, controller, idle_timeout } = AttachOptions::default();
        Self { room: RoomOptions::new(url, token), agent, start_timeout, controller, idle_timeout }
    }
}

/// How to drive the session of an agent in a room that was joined.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttachOptions {
    /// The identity of the agent; `None` is the only participant of the room that is an agent.
    pub agent: Option<String>,
    /// From the call until the session is ready: to wait for the agent, to have its first answer. 60 s.
    pub start_timeout: Duration,
    /// How the protocol behaves. The agent's audio is left as it is: it may be talking to people.
    pub controller: Config,
    /// After how long without any call the session ends by itself; `None` is never.
    pub idle_timeout: Option<Duration>,
}

impl Default for AttachOptions {
    fn default() -> Self {
        let mut controller = Config::default();
        controller.text_mode = false;
        Self { agent: None, start_timeout: Duration::from_secs(60), controller, idle_timeout: None }
    }
}

/// Runs a session to its end, in a room that it joins and leaves. The state tells the rest of the world how it goes.
pub(crate) fn join(shared: &Arc<Shared>, options: JoinOptions) {
    run(shared, session(shared, options));
}

/// Runs a session to its end, in a room that stays its caller's.
pub(crate) fn attach(shared: &Arc<Shared>, room: Arc<dyn Transport>, options: AttachOptions) {
    run(shared, async {
        let mut events = room.events();
        // One that was left before tells nothing any more.
        let cause = match room.disconnected() {
            Some(disconnected) => failed_start(disconnected.error()),
            None => drive(shared, &room, &mut events, options).await,
        };
        close(shared, cause);
    });
}

fn run(shared: &Arc<Shared>, session: impl Future<Output = ()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Code::Io, format!("the session's event loop cannot be started: {error}"));
            return close(shared, failed_start(error));
        }
    };
    runtime.block_on(session);
    // A name that is still looked up is not waited for.
    runtime.shutdown_background();
}

async fn session(shared: &Arc<Shared>, options: JoinOptions) {
    let task = RoomTask::new();
    let JoinOptions { room, agent, start_timeout, controller, idle_timeout } = options;
    let opened = unless_closing(shared, task.connect(room)).await;
    let cause = match opened {
        Ok(Ok((room, events))) => {
            let options = AttachOptions { agent, start_timeout, controller, idle_timeout };
            let room: Arc<dyn Transport> = Arc::new(room);
            let cause = drive(shared, &room, &mut events.into_stream(), options).await;
            close(shared, cause);
            room.disconnect().await;
            return;
        }
        Ok(Err(failure)) => failed_start(failure.into()),
        Err(cause) => cause,
    };
    close(shared, cause);
    task.ended().await;
}

async fn drive(
    shared: &Arc<Shared>,
    room: &Arc<dyn Transport>,
    events: &mut BoxStream<'static, RoomEvent>,
    options: AttachOptions,
) -> CloseCause {
    let local = room.local();
    let name = room.info().name;
    shared.with(|state, _| {
        state.status.room = Some(name.clone());
        state.status.identity = Some(local.identity.clone());
    });
    if !local.can_manage_agent_session() {
        let message = format!(
            "{:?} may not manage agent sessions in the room {name:?}: its token has to grant canManageAgentSession, and the server to be 1.12 or newer",
            local.identity
        );
        return failed_start(Error::new(Code::PermissionDenied, message));
    }
    let ready_by = Time::ZERO + options.start_timeout;
    let wait = find_agent(&**room, events, options.agent.as_deref(), shared.instant(ready_by));
    let agent = match unless_closing(shared, wait).await {
        Ok(Ok(agent)) => agent,
        Ok(Err(Wait::Deadline(who))) => {
            let within = in_words(options.start_timeout);
            let message = format!(
                "{who} within {within}; start the agent or dispatch it into the room {name:?}, or give more time with a longer start timeout"
            );
            return failed_start(Error::new(Code::Timeout, message));
        }
        Ok(Err(Wait::Ended(cause))) => return cause,
        Err(cause) => return cause,
    };
    let hub = Hub::new(shared, &agent, &options.controller);
    if let Err(error) = room.listen(TOPIC, Arc::new(TopicListener(Arc::clone(&hub)))) {
        return failed_start(error);
    }
    shared.with(|state, now| {
        state.status.agent = Some(agent.identity.clone());
        state.last_call = now;
        state.outgoing = Some(AgentChannel::Room(VecDeque::new()));
        state.controller.open_by(ready_by, now);
    });
    let cause = pump(shared, room, events, &hub, &agent, options.idle_timeout).await;
    room.unlisten(TOPIC);
    cause
}

/// Why there is no agent.
enum Wait {
    Deadline(String),
    Ended(CloseCause),
}

/// Waits until the agent is there and can be reached.
async fn find_agent(
    room: &dyn Transport,
    events: &mut BoxStream<'static, RoomEvent>,
    wanted: Option<&str>,
    until: tokio::time::Instant,
) -> Result<Participant, Wait> {
    loop {
        let is_meant = |participant: &Participant| match wanted {
            Some(identity) => participant.identity == identity,
            None => participant.kind == ParticipantKind::Agent,
        };
        let mut agents = room.participants();
        let others: Vec<String> = agents.iter().map(|participant| participant.identity.clone()).collect();
        agents.retain(is_meant);
        match agents.as_slice() {
            [agent] if agent.is_active => return Ok(agent.clone()),
            [_] | [] => {}
            several => {
                let names: Vec<String> =
                    several.iter().map(|agent| format!("{:?}", agent.identity)).collect();
                let message = format!(
                    "the room {:?} has {} agents: {}; name the one that is meant",
                    room.info().name,
                    several.len(),
                    names.join(", ")
                );
                return Err(Wait::Ended(failed_start(Error::new(Code::InvalidArgument, message))));
            }
        }
        let event = tokio::select! {
            event = events.next() => event,
            () = sleep_until(until) => {
                let who = match (wanted, others.as_slice()) {
                    (Some(identity), []) => format!("{identity:?} did not come into the room, in which nobody else is,"),
                    (Some(identity), others) => format!("{identity:?} did not come into the room, in which are {others:?},"),
                    (None, []) => "no agent came into the room, in which nobody else is,".to_owned(),
                    (None, others) => format!("no agent came into the room, in which are {others:?},"),
                };
                return Err(Wait::Deadline(who));
            }
        };
        if let Some(RoomEvent::Disconnected(_)) | None = event {
            return Err(Wait::Ended(room_gone(room)));
        }
    }
}

/// Carries messages between the room and the controller.
async fn pump(
    shared: &Arc<Shared>,
    room: &Arc<dyn Transport>,
    events: &mut BoxStream<'static, RoomEvent>,
    hub: &Arc<Hub>,
    agent: &Participant,
    idle_timeout: Option<Duration>,
) -> CloseCause {
    let (broke, mut broken) = oneshot::channel();
    let _sender = AbortOnDrop(tokio::spawn(send(Arc::clone(hub), Arc::clone(room), broke)));
    loop {
        let alarm = match step(shared, idle_timeout) {
            Ok((alarm, _)) => alarm,
            Err(cause) => return cause,
        };
        hub.give(&agent.identity);
        let alarm = [alarm, hub.handle_timeouts()].into_iter().flatten().min();
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            failed = &mut broken => return match failed {
                Ok(error) => CloseCause { reason: CloseReason::RoomDisconnected, error },
                Err(_) => room_gone(&**room),
            },
            () = shared.wake.notified() => continue,
            () = sleep_until(alarm.unwrap_or_else(tokio::time::Instant::now)), if alarm.is_some() => continue,
        };
        match event {
            Some(RoomEvent::Disconnected(_)) | None => return room_gone(&**room),
            Some(RoomEvent::Reconnected { fresh: true }) => {
                let message = "the connection to the room broke, and joining anew is another stay in it: the agent does not know it as this session; join again";
                return CloseCause {
                    reason: CloseReason::RoomDisconnected,
                    error: Error::new(Code::AgentGone, message),
                };
            }
            Some(_) => {}
        }
        // By what is known, not by the event: one may have been missed.
        if room.participant(&agent.identity).is_none_or(|current| current.sid != agent.sid) {
            let message = format!("the agent {:?} left the room {:?}", agent.identity, room.info().name);
            return CloseCause {
                reason: CloseReason::AgentLeft,
                error: Error::new(Code::AgentGone, message),
            };
        }
    }
}

fn room_gone(room: &dyn Transport) -> CloseCause {
    let error = room.disconnected().map_or_else(
        || Error::new(Code::Internal, "the room's task ended unexpectedly; please report it"),
        |disconnected| disconnected.error(),
    );
    CloseCause { reason: CloseReason::RoomDisconnected, error }
}

/// Sends one message after the other, until one cannot be sent.
async fn send(hub: Arc<Hub>, room: Arc<dyn Transport>, broke: oneshot::Sender<Error>) {
    loop {
        let next = hub.with(|board, _| board.poll_send());
        match next {
            Some(Outgoing::Send { to, message, .. }) => {
                let to = to.iter().map(|Recipient { identity, .. }| identity.clone());
                if let Err(error) = room.send_bytes(message, SendOptions::new(TOPIC).to(to)).await {
                    return drop(broke.send(error));
                }
            }
            Some(Outgoing::Done(_)) => {}
            None => hub.to_send.notified().await,
        }
    }
}

/// Between the room, the switchboard and the controller.
struct Hub {
    shared: Arc<Shared>,
    board: Mutex<Switchboard>,
    /// The streams that come in.
    closers: Mutex<HashMap<StreamId, Closer>>,
    to_send: Notify,
}

impl Hub {
    fn new(shared: &Arc<Shared>, agent: &Participant, config: &Config) -> Arc<Self> {
        let now = shared.now();
        let mut board = Switchboard::new(config.limits.clone(), now);
        let peer = Peer {
            sid: agent.sid.clone(),
            identity: agent.identity.clone(),
            can_manage_agent_session: agent.permissions.map(|may| may.can_manage_agent_session),
        };
        board.set_peer(peer, now);
        board.listen(&agent.identity);
        Arc::new(Self {
            shared: Arc::clone(shared),
            board: Mutex::new(board),
            closers: Mutex::default(),
            to_send: Notify::new(),
        })
    }

    /// Gives what the controller has to say to the switchboard.
    fn give(&self, agent: &str) {
        let messages: Vec<Bytes> = self.shared.with(|state, _| match &mut state.outgoing {
            Some(AgentChannel::Room(waiting)) => waiting.drain(..).collect(),
            _ => Vec::new(),
        });
        if messages.is_empty() {
            return;
        }
        let now = self.shared.now();
        let mut board = lock(&self.board);
        for message in messages {
            board.send(message, agent, now);
        }
        self.to_send.notify_one();
    }

    /// Lets pass the deadlines that are due. Gives the next.
    fn handle_timeouts(&self) -> Option<tokio::time::Instant> {
        let now = self.shared.now();
        let is_due = lock(&self.board).poll_timeout().is_some_and(|due| due <= now);
        if is_due {
            self.with(|board, now| board.handle_timeout(now));
        }
        lock(&self.board).poll_timeout().map(|at| self.shared.instant(at))
    }

    /// Lets `act` change the switchboard; then gives on what came of it.
    fn with<R>(&self, act: impl FnOnce(&mut Switchboard, Time) -> R) -> R {
        let mut board = lock(&self.board);
        let result = act(&mut board, self.shared.now());
        let incoming: Vec<Incoming> = std::iter::from_fn(|| board.poll()).collect();
        drop(board);
        for incoming in incoming {
            match incoming {
                Incoming::FromAgent { message, .. } => {
                    self.shared.with(|state, now| state.controller.receive(&message, now));
                }
                Incoming::Skipped { announced, head, .. } => {
                    self.shared.with(|state, now| state.controller.receive_skipped(announced, &head, now));
                }
                Incoming::Cut(stream) => {
                    if let Some(closer) = lock(&self.closers).remove(&stream) {
                        closer.close();
                    }
                }
                // Nobody is hosted here.
                Incoming::Request { .. } | Incoming::Audit(_) => {}
            }
        }
        result
    }
}

/// A stream of the topic.
struct Message {
    hub: Arc<Hub>,
    stream: StreamId,
}

/// Takes the streams of the topic for the hub.
struct TopicListener(Arc<Hub>);

impl Listener for TopicListener {
    fn begin(&self, info: StreamInfo, closer: Closer) -> Option<Box<dyn Feed>> {
        if info.is_text {
            return None;
        }
        let announced = info.total_length.and_then(|length| length.try_into().ok());
        let hub = &self.0;
        let stream = hub.with(|board, now| {
            let stream = board.begin(&info.from, announced, now);
            lock(&hub.closers).insert(stream, closer);
            stream
        });
        Some(Box::new(Message { hub: Arc::clone(hub), stream }))
    }

    fn bounds_streams(&self) -> bool {
        true
    }
}

impl Feed for Message {
    fn chunk(&mut self, data: Bytes) -> bool {
        self.hub.with(|board, now| board.chunk(self.stream, &data, now))
    }

    fn end(self: Box<Self>, outcome: Result<(), Error>) {
        self.hub.with(|board, now| match outcome {
            Ok(()) => board.end(self.stream, now),
            Err(_) => board.abort(self.stream, now),
        });
        lock(&self.hub.closers).remove(&self.stream);
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
