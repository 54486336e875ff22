//! Sessions whose messages the caller carries, held to tests/session_ways.json.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_engine::protocol::Code;
use greenroom_engine::protocol::message::{CloseReason, EventKind};
use greenroom_engine::protocol::wire::agent_session_message::Message;
use greenroom_engine::protocol::wire::session_request::Request as Ask;
use greenroom_engine::protocol::wire::session_response::{self as payload, Response as Payload};
use greenroom_engine::protocol::wire::{self, AgentSessionMessage, SessionResponse};
use greenroom_engine::{Driver, Listener, Pipe, PipeOptions, Session};
use prost::Message as _;
use tokio::sync::Notify;

struct Wake(Notify);

impl Listener for Wake {
    fn events(&self) {
        self.0.notify_one();
    }
}

/// A session with an agent that answers everything but turns.
struct Carried {
    session: Session,
    pipe: Pipe,
    _agent: tokio::task::JoinHandle<()>,
    _wake: Arc<Wake>,
}

fn carried(change: impl FnOnce(&mut PipeOptions), lost_pings: usize) -> Carried {
    let mut options = PipeOptions::default();
    change(&mut options);
    let (session, pipe) = Session::over_pipe(options).unwrap();
    let wake = Arc::new(Wake(Notify::new()));
    let listener: Arc<dyn Listener> = Arc::clone(&wake) as Arc<dyn Listener>;
    session.on_events(Arc::downgrade(&listener));
    pipe.open();
    let agent = tokio::spawn(answer(pipe.clone(), Arc::clone(&wake), lost_pings));
    Carried { session, pipe, _agent: agent, _wake: wake }
}

/// Answers requests, once so many pings were lost with all that was sent before them.
async fn answer(pipe: Pipe, wake: Arc<Wake>, mut lost_pings: usize) {
    loop {
        while let Some(message) = pipe.poll_transmit() {
            let Some(Message::Request(request)) = AgentSessionMessage::decode(message).unwrap().message
            else {
                continue;
            };
            if lost_pings > 0 {
                lost_pings -= usize::from(matches!(request.request, Some(Ask::Ping(_))));
                continue;
            }
            let payload = match request.request {
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
                    ..Default::default()
                }),
                Some(Ask::GetChatHistory(_)) => {
                    Payload::GetChatHistory(payload::GetChatHistoryResponse::default())
                }
                _ => continue,
            };
            let response = SessionResponse {
                request_id: request.request_id,
                response: Some(payload),
                ..Default::default()
            };
            let message = AgentSessionMessage { message: Some(Message::Response(response)) };
            pipe.receive(&Bytes::from(message.encode_to_vec()));
        }
        wake.0.notified().await;
    }
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .unwrap_or_else(|_| panic!("{what} takes too long"))
}

fn contract() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/session_ways.json")).unwrap()
}

#[tokio::test]
async fn session_over_a_pipe_starts_and_answers() {
    let carried = carried(|options| options.kind = Some("python"), 0);
    let started = within("the start", carried.session.ready(None)).await.unwrap();
    assert_eq!(started.framework.unwrap().sdk, "python");
    within("a ping", carried.session.ping(None)).await.unwrap();
    let status = carried.session.status();
    for key in contract()["status_keys"].as_array().unwrap() {
        assert!(status.get(key.as_str().unwrap()).is_some(), "{key} is missing in {status}");
    }
    assert_eq!(status["kind"], "python");
    within("the end", carried.session.end()).await;
}

#[tokio::test]
async fn start_ping_over_a_pipe_is_repeated() {
    let carried = carried(|_| {}, 3);
    within("the start", carried.session.ready(None)).await.unwrap();
}

#[tokio::test]
async fn silent_agent_ends_the_start_at_its_deadline() {
    let carried = carried(|options| options.start_timeout = Duration::from_millis(700), usize::MAX);
    let error = within("the start", carried.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("did not answer a ping"), "{error}");
    assert!(carried.pipe.is_closed());
}

#[tokio::test]
async fn pending_call_fails_at_once_when_the_session_closes() {
    let carried = carried(|_| {}, 0);
    within("the start", carried.session.ready(None)).await.unwrap();
    let pending = tokio::spawn({
        let session = carried.session.clone();
        async move { session.say("hi", None).await }
    });
    while !carried.session.snapshot().turn_in_progress {
        tokio::task::yield_now().await;
    }
    within("the end", carried.session.end()).await;
    let error = within("the call", pending).await.unwrap().unwrap_err();
    assert_eq!(error.code.as_str(), contract()["closed_while_pending"]["code"].as_str().unwrap());
    assert!(carried.pipe.poll_transmit().is_none());
}

#[tokio::test]
async fn lost_agent_ends_the_session() {
    let carried = carried(|_| {}, 0);
    within("the start", carried.session.ready(None)).await.unwrap();
    let gone = greenroom_engine::protocol::Error::new(Code::AgentGone, "it left");
    carried.pipe.close(CloseReason::AgentDisconnected, gone);
    let error = within("a ping", carried.session.ping(None)).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::AgentGone, "it left"));
    let mut events = carried.session.events(0);
    let mut last = None;
    while let Some(event) = within("an event", events.next()).await {
        last = Some(event.kind);
    }
    assert!(
        matches!(last, Some(EventKind::Closed { reason: CloseReason::AgentDisconnected, .. })),
        "{last:?}"
    );
}

#[tokio::test]
async fn timeout_of_0_is_invalid() {
    let invalid = |change: fn(&mut PipeOptions)| {
        let mut options = PipeOptions::default();
        change(&mut options);
        Session::over_pipe(options).err().map(|error| error.code)
    };
    assert_eq!(invalid(|options| options.start_timeout = Duration::ZERO), Some(Code::InvalidArgument));
    assert_eq!(invalid(|options| options.idle_timeout = Some(Duration::ZERO)), Some(Code::InvalidArgument));
    let carried = carried(|_| {}, 0);
    let error = within("a ping", carried.session.ping(Some(Duration::ZERO))).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
}
