//! An agent in a room: the scripted peer behind a switchboard, as the SDKs' adapters put it there.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use greenroom_engine::protocol::gate::Peer;
use greenroom_engine::protocol::limits::Limits;
use greenroom_engine::protocol::room::{HostId, Incoming, Outgoing, StreamId, Switchboard};
use greenroom_engine::protocol::session::HostConfig;
use greenroom_engine::protocol::{Time, frame};
use greenroom_room::Room;
use greenroom_room::{IncomingStream, SendOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::venue::{Venue, within};

const TOPIC: &str = "lk.agent.session";

/// An agent in a room. It leaves when this is dropped.
pub(crate) struct Agent {
    pub(crate) room: Room,
    stage: Arc<Stage>,
    _tasks: JoinSet<()>,
    process: Child,
}

struct Stage {
    room: Room,
    origin: Instant,
    board: Mutex<Switchboard>,
    host: HostId,
    to_send: Notify,
    to_agent: tokio::sync::mpsc::UnboundedSender<Bytes>,
    /// Whether requests are kept from the agent.
    holds: tokio::sync::watch::Sender<bool>,
    /// How many are.
    held: AtomicUsize,
}

impl Agent {
    /// Joins as an agent of this identity.
    pub(crate) async fn join(venue: &Venue<'_>, identity: &str) -> Self {
        Self::join_with(venue, identity, venue.agent_token(identity)).await
    }

    /// Joins with a token of this identity.
    pub(crate) async fn join_with(venue: &Venue<'_>, identity: &str, token: String) -> Self {
        let (room, _) = venue.join_with(token).await;
        Self::host(venue, identity, room).await
    }

    /// Starts the agent's session in a room that was joined under this identity.
    pub(crate) async fn host(venue: &Venue<'_>, identity: &str, room: Room) -> Self {
        let mut events = room.events();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let process = Command::new(greenroom_test_peer::binary())
            .args(["--connect-addr", &listener.local_addr().unwrap().to_string()])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (link, _) = within("the scripted peer", listener.accept()).await.unwrap();
        let (from_agent, to_agent_link) = link.into_split();
        let mut board = Switchboard::new(Limits::default(), Time::ZERO);
        let host = board.open_host(HostConfig::default());
        let (to_agent, requests) = tokio::sync::mpsc::unbounded_channel();
        let stage = Arc::new(Stage {
            room: room.clone(),
            origin: Instant::now(),
            board: Mutex::new(board),
            host,
            to_send: Notify::new(),
            to_agent,
            holds: tokio::sync::watch::channel(false).0,
            held: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        let mut streams = room.receive(TOPIC).unwrap();
        tasks.spawn({
            let stage = Arc::clone(&stage);
            async move {
                while let Some(stream) = streams.next().await {
                    tokio::spawn(take(Arc::clone(&stage), stream));
                }
            }
        });
        tasks.spawn(give(Arc::clone(&stage), requests, to_agent_link));
        tasks.spawn(hear(Arc::clone(&stage), from_agent));
        tasks.spawn(send(Arc::clone(&stage)));
        let meets = Arc::clone(&stage);
        tasks.spawn(async move {
            loop {
                meets.meet();
                if events.next().await.is_none() {
                    return;
                }
            }
        });
        venue.announce(identity);
        Self { room, stage, _tasks: tasks, process }
    }

    /// Sends a message as the agent's host would.
    pub(crate) fn emit(&self, message: Bytes) {
        self.stage.with(|board, now| board.send_from_agent(self.stage.host, message, None, now));
    }

    /// From now on keeps requests from the agent, or no more.
    pub(crate) fn hold(&self, holds: bool) {
        self.stage.holds.send_replace(holds);
    }

    /// How many requests are kept from the agent.
    pub(crate) fn held(&self) -> usize {
        self.stage.held.load(Ordering::SeqCst)
    }

    /// Tells the switchboard who is in the room now.
    pub(crate) fn meet(&self) {
        self.stage.meet();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stage {
    fn with<R>(&self, act: impl FnOnce(&mut Switchboard, Time) -> R) -> R {
        let result = self.with_quiet(act);
        self.to_send.notify_one();
        result
    }

    fn with_quiet<R>(&self, act: impl FnOnce(&mut Switchboard, Time) -> R) -> R {
        let mut board = self.board.lock().unwrap();
        let result = act(&mut board, Time::from_origin(self.origin.elapsed()));
        while let Some(incoming) = board.poll() {
            if let Incoming::Request { message, .. } = incoming {
                let _ = self.to_agent.send(message);
            }
        }
        result
    }

    /// Tells the switchboard who is in the room now.
    fn meet(&self) {
        let here = self.room.participants();
        self.with(|board, now| {
            for participant in &here {
                let peer = Peer {
                    sid: participant.sid.clone(),
                    identity: participant.identity.clone(),
                    can_manage_agent_session: Some(participant.can_manage_agent_session()),
                };
                board.set_peer(peer, now);
            }
        });
    }
}

async fn take(stage: Arc<Stage>, mut stream: IncomingStream) {
    stage.meet();
    let announced = stream.info.total_length.map(|length| length as usize);
    let id: StreamId = stage.with(|board, now| board.begin(&stream.info.from, announced, now));
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) if stage.with(|board, now| board.chunk(id, &chunk, now)) => {}
            _ => return stage.with(|board, now| board.abort(id, now)),
        }
    }
    stage.with(|board, now| board.end(id, now));
}

async fn give(
    stage: Arc<Stage>,
    mut requests: tokio::sync::mpsc::UnboundedReceiver<Bytes>,
    mut link: OwnedWriteHalf,
) {
    let mut holds = stage.holds.subscribe();
    while let Some(request) = requests.recv().await {
        stage.held.fetch_add(1, Ordering::SeqCst);
        // The sender of it is the stage's.
        let _ = holds.wait_for(|holds| !holds).await;
        stage.held.fetch_sub(1, Ordering::SeqCst);
        let prefix = frame::prefix(&request, usize::MAX).unwrap();
        if link.write_all(&[&prefix[..], &request].concat()).await.is_err() {
            return;
        }
    }
}

async fn hear(stage: Arc<Stage>, mut link: OwnedReadHalf) {
    loop {
        let mut prefix = [0; 4];
        if link.read_exact(&mut prefix).await.is_err() {
            return;
        }
        let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
        if link.read_exact(&mut message).await.is_err() {
            return;
        }
        stage.with(|board, now| board.send_from_agent(stage.host, message.into(), None, now));
    }
}

async fn send(stage: Arc<Stage>) {
    loop {
        let next = stage.with_quiet(|board, _| board.poll_send());
        match next {
            Some(Outgoing::Send { to, message, .. }) => {
                let to = to.iter().map(|recipient| recipient.identity.clone());
                if stage.room.send_bytes(&message, SendOptions::new(TOPIC).to(to)).await.is_err() {
                    return;
                }
            }
            Some(Outgoing::Done(_)) => {}
            None => stage.to_send.notified().await,
        }
    }
}
