//! The session of an agent in a room that was joined natively.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use greenroom_engine::protocol::message::{CloseReason, EventKind};
use greenroom_engine::protocol::{Code, Error};
use greenroom_engine::{AttachOptions, Driver, JoinOptions, Session};
use greenroom_room::{
    Disconnected, Listener, Participant, Room, RoomEvent, RoomInfo, SendOptions, Transport,
};

use crate::host::Agent;
use crate::venue::{Venue, gather, knows, within};

fn join(venue: &Venue<'_>, token: String, change: impl FnOnce(&mut JoinOptions)) -> Session {
    let mut options = JoinOptions::new(venue.server.url(), token);
    options.start_timeout = Duration::from_secs(20);
    change(&mut options);
    Session::join(options).unwrap()
}

async fn last_event(session: &Session) -> Option<EventKind> {
    let mut events = session.events(0);
    let mut last = None;
    while let Some(event) = within("an event", events.next()).await {
        last = Some(event.kind);
    }
    last
}

async fn close_reason(session: &Session) -> CloseReason {
    match last_event(session).await {
        Some(EventKind::Closed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    within("ready", session.ready(None)).await.unwrap();
    let status = session.snapshot();
    assert_eq!(status.room.as_deref(), Some(venue.name.as_str()));
    assert_eq!((status.identity.as_deref(), status.agent.as_deref()), (Some("ada"), Some("agent")));

    let turn = within("a turn", session.say("hello", None)).await.unwrap();
    assert_eq!((turn.reply.as_str(), turn.number), ("echo: hello", 1));
    assert_eq!(within("history", session.history(None)).await.unwrap().len(), 2);
    assert_eq!(within("info", session.agent_info(None)).await.unwrap().id, "peer");
    within("a ping", session.ping(None)).await.unwrap();
    let large = within("a large turn", session.say("big 500000", None)).await.unwrap();
    assert_eq!(large.reply.len(), 500_000);
    within("the end", session.end()).await;
    assert_eq!(close_reason(&session).await, CloseReason::Closed);
    assert_eq!(within("a failure", session.ping(None)).await.unwrap_err().code, Code::SessionClosed);
}

/// A client of somebody else's, as far as the session can tell.
struct Foreign(Room);

#[async_trait::async_trait]
impl Transport for Foreign {
    fn info(&self) -> RoomInfo {
        self.0.info()
    }

    fn local(&self) -> Participant {
        self.0.local()
    }

    fn participants(&self) -> Vec<Participant> {
        self.0.participants()
    }

    fn events(&self) -> BoxStream<'static, RoomEvent> {
        self.0.events().into_stream()
    }

    fn listen(&self, topic: &str, listener: Arc<dyn Listener>) -> Result<(), Error> {
        self.0.listen(topic, listener)
    }

    fn unlisten(&self, topic: &str) {
        self.0.unlisten(topic);
    }

    async fn publish(&self, topic: &str, payload: Bytes, to: &[&str], reliable: bool) -> Result<(), Error> {
        self.0.publish(topic, payload, to, reliable).await
    }

    async fn send_bytes(&self, data: Bytes, options: SendOptions) -> Result<String, Error> {
        assert_eq!(options.to, ["agent"], "nothing goes to everybody");
        self.0.send_bytes(data, options).await
    }

    fn disconnected(&self) -> Option<Disconnected> {
        self.0.disconnected()
    }

    async fn disconnect(&self) {
        panic!("the room is its caller's");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_was_joined_stays_when_a_session_in_it_ends() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let (room, _) = venue.join_with(venue.manager_token("ada")).await;
    let foreign: Arc<dyn Transport> = Arc::new(Foreign(room.clone()));
    for said in ["hello", "again"] {
        let session = Session::attach(Arc::clone(&foreign), AttachOptions::default()).unwrap();
        within("ready", session.ready(None)).await.unwrap();
        let turn = within("a turn", session.say(said, None)).await.unwrap();
        assert_eq!(turn.reply, format!("echo: {said}"));
        let other = Session::attach(Arc::clone(&foreign), AttachOptions::default()).unwrap();
        let error = within("a failure", other.ready(None)).await.unwrap_err();
        assert!(error.message.contains("received already"), "{error}");
        within("the end", session.end()).await;
    }
    assert!(venue.identities().contains(&"ada".to_owned()), "it has not left");
    within("a packet", room.publish("t", "x", &[], true)).await.unwrap();

    let session = Session::attach(Arc::clone(&foreign), AttachOptions::default()).unwrap();
    within("ready", session.ready(None)).await.unwrap();
    within("a leave", room.disconnect()).await;
    assert_eq!(close_reason(&session).await, CloseReason::RoomDisconnected);
    let late = Session::attach(foreign, AttachOptions::default()).unwrap();
    assert_eq!(within("a failure", late.ready(None)).await.unwrap_err().code, Code::SessionClosed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_of_one_agent_do_not_mix() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let ada = join(&venue, venue.manager_token("ada"), |_| {});
    let bob = join(&venue, venue.manager_token("bob"), |_| {});
    for session in [&ada, &bob] {
        within("ready", session.ready(None)).await.unwrap();
    }
    for (session, text) in [(&ada, "from ada"), (&bob, "from bob"), (&ada, "ada again")] {
        let turn = within("a turn", session.say(text, None)).await.unwrap();
        // What the agent says to the other, both hear, and it may come after that turn.
        assert!(turn.reply.ends_with(&format!("echo: {text}")), "{}", turn.reply);
    }
    let (of_ada, of_bob) =
        tokio::join!(within("history", ada.history(None)), within("history", bob.history(None)));
    assert_eq!((of_ada.unwrap().len(), of_bob.unwrap().len()), (6, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_grant_nothing_is_sent() {
    let venue = Venue::new();
    let agent = Agent::join(&venue, "agent").await;
    let session = join(&venue, venue.token("eve"), |_| {});
    let error = within("a refusal", session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(error.message.contains("canManageAgentSession"), "{error}");
    within("the end", session.end()).await;
    assert_eq!(agent.room.counts().stream_packets, 0);
    assert_eq!(close_reason(&session).await, CloseReason::StartFailed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_comes_later_is_waited_for() {
    let venue = Venue::new();
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    let (_other, _) = venue.join("somebody").await;
    let _agent = Agent::join(&venue, "agent").await;
    within("ready", session.ready(None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn avatar_worker_is_not_taken_for_the_agent() {
    let venue = Venue::new();
    let (avatar, _) = venue.join_with(venue.agent_token("avatar")).await;
    let on_behalf = [("lk.publish_on_behalf".to_owned(), "agent".to_owned())];
    within("attributes", avatar.set_attributes(on_behalf)).await.unwrap();
    let agent = Agent::join(&venue, "agent").await;
    knows(&agent.room, "avatar", |avatar| !avatar.attributes.is_empty()).await;
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    within("ready", session.ready(None)).await.unwrap();
    assert_eq!(session.snapshot().agent.as_deref(), Some("agent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_whose_session_starts_later_is_pinged_until_it_answers() {
    let venue = Venue::new();
    let (early, _) = venue.join_with(venue.agent_token("agent")).await;
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    let mut requests = early.receive("lk.agent.session").unwrap();
    // The first ping, three other requests of the start, and three more pings; all are lost.
    for _ in 0..7 {
        within("a request", requests.next()).await.unwrap();
    }
    drop(requests);
    let _agent = Agent::host(&venue, "agent", early).await;
    within("ready", session.ready(None)).await.unwrap();
    let turn = within("a turn", session.say("hello", None)).await.unwrap();
    assert_eq!(turn.reply, "echo: hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_that_leaves_before_its_session_starts_may_come_again() {
    let venue = Venue::new();
    let (early, _) = venue.join_with(venue.agent_token("early")).await;
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    let mut requests = early.receive("lk.agent.session").unwrap();
    within("a request", requests.next()).await.unwrap();
    within("the end", early.disconnect()).await;
    let _agent = Agent::join(&venue, "agent").await;
    within("ready", session.ready(None)).await.unwrap();
    assert_eq!(session.snapshot().agent.as_deref(), Some("agent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_agent_the_start_fails_in_time() {
    let venue = Venue::new();
    let (_other, _) = venue.join("somebody").await;
    let session = join(&venue, venue.manager_token("ada"), |options| {
        options.start_timeout = Duration::from_secs(1);
    });
    let error = within("a failure", session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    assert!(
        error.message.contains("no agent came into the room") && error.message.contains("somebody"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_agents_one_has_to_be_named() {
    let venue = Venue::new();
    let one = Agent::join(&venue, "one").await;
    let two = Agent::join(&venue, "two").await;
    gather(&[&one.room, &two.room]).await;
    let unclear = join(&venue, venue.manager_token("ada"), |_| {});
    let error = within("a failure", unclear.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("\"one\", \"two\""), "{error}");
    let named = join(&venue, venue.manager_token("bob"), |options| options.agent = Some("two".to_owned()));
    within("ready", named.ready(None)).await.unwrap();
    assert_eq!(named.snapshot().agent.as_deref(), Some("two"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_leaves_ends_what_waits() {
    let venue = Venue::new();
    let agent = Agent::join(&venue, "agent").await;
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    within("ready", session.ready(None)).await.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.say("hang", None).await }
    });
    venue.remove("agent");
    let error = within("a failure", waiting).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
    assert!(error.message.contains("left the room"), "{error}");
    assert_eq!(close_reason(&session).await, CloseReason::AgentLeft);
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_left_ends_what_waits() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    within("ready", session.ready(None)).await.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.say("hang", None).await }
    });
    venue.remove("ada");
    let error = within("a failure", waiting).await.unwrap().unwrap_err();
    assert!(error.message.contains("removed"), "{error}");
    assert_eq!(close_reason(&session).await, CloseReason::RoomDisconnected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_closed_ends() {
    let venue = Venue::new();
    let session = join(&venue, venue.manager_token("ada"), |_| {});
    let starting = tokio::spawn({
        let session = session.clone();
        async move { session.ready(None).await }
    });
    within("the end", session.end()).await;
    assert_eq!(within("a failure", starting).await.unwrap().unwrap_err().code, Code::SessionClosed);
    assert_eq!(session.status()["state"], "closed");
}
