//! The operations of every kind of session: the one interface behind all languages.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use greenroom_protocol::journal::Read;
use greenroom_protocol::message::{Answer, Event, EventKind, Operation};
use greenroom_protocol::session::CallId;
use greenroom_protocol::time::check_timeout;
use greenroom_protocol::{Code, Error};

/// Receives the answer to one operation; called exactly once.
pub type Reply = Box<dyn FnOnce(Result<Answer, Error>) + Send>;

/// How many events are read at once.
const BATCH: usize = 256;

/// Notified of new events, on the session's thread: do cheap work only.
pub trait Listener: Send + Sync {
    /// New events can be read.
    fn events(&self);
}

/// A session of any kind. No method blocks.
pub trait Driver: Send + Sync {
    /// Submits an operation. `reply` receives the answer within `timeout`, or within the
    /// operation's default for `None`.
    fn submit(&self, operation: Operation, timeout: Option<Duration>, reply: Reply) -> CallId;

    /// Cancels a call: its reply receives the code `cancelled`, if it has no answer yet.
    fn cancel(&self, call: CallId);

    /// Reads up to `most` of the recent events from position `from` on; 0 is the oldest kept event.
    fn read_events(&self, from: u64, most: usize) -> Read;

    /// Returns the position after the last event.
    fn end_of_events(&self) -> u64;

    /// Notifies `listener` of new events for as long as it lives.
    fn on_events(&self, listener: Weak<dyn Listener>);

    /// Returns the session's status as a JSON object.
    fn status(&self) -> serde_json::Value;

    /// Ends the session; `done` is called once its agent and its link are gone. May be called
    /// again.
    fn close(&self, done: Box<dyn FnOnce() + Send>);

    /// Ends the session itself, where `close` only detaches from it; `done` receives the result.
    /// May be called again.
    fn end_session(&self, done: Box<dyn FnOnce(Result<(), Error>) + Send>) {
        self.close(Box::new(|| done(Ok(()))));
    }
}

/// Implements the typed calls as methods of a type that implements [`Driver`].
#[doc(hidden)]
#[macro_export]
macro_rules! typed_calls {
    ($target:ty) => {
        $crate::typed_calls! { @list $target;
            /// Waits until the session is ready. Returns the agent's SDK, its first agent and the
            /// events before the first turn.
            ready() -> Started = Operation::Start, Answer::Started(started) => started;
            /// Runs one text turn and returns it. Turns are queued and run one at a time.
            ///
            /// An agent's failure is [`Turn::error`], not an error of the call. Further errors:
            /// `invalid_argument` for an empty text, `too_large` for one over the limit, `busy` if
            /// too many turns are queued.
            say(text: &str) -> Turn = Operation::Say { text: text.to_owned() }, Answer::Turn(turn) => turn;
            /// Runs one spoken turn and returns it once the agent has answered and is silent again.
            /// `greenroom_engine::voice` makes speech of files and samples.
            ///
            /// Further errors: `unsupported` in a session without audio, `too_large` for speech
            /// over the limit of 3 minutes, `busy` if too many turns are queued.
            say_audio(spoken: SpokenTurn) -> Turn = Operation::SayAudio(spoken), Answer::Turn(turn) => turn;
            /// Adds speech to the current turn, whose [`SpokenTurn`] is live.
            say_more(more: MoreSpeech) -> () = Operation::SayMore(more), Answer::Done => ();
            /// Returns the whole conversation, oldest item first.
            history() -> Vec<Item> = Operation::History, Answer::History { items } => items;
            /// Returns the active agent's instructions, tools and context.
            agent_info() -> AgentInfo = Operation::AgentInfo, Answer::AgentInfo(info) => info;
            /// Returns the states of agent and user, and the session's options.
            session_state() -> SessionState = Operation::SessionState, Answer::SessionState(state) => state;
            /// Returns the usage of each model since the session began.
            usage() -> Vec<ModelUsage> = Operation::Usage, Answer::Usage { models } => models;
            /// Returns the agent's WebRTC statistics; empty without a room.
            rtc_stats() -> RtcStats = Operation::RtcStats, Answer::RtcStats(stats) => stats;
            /// Returns the agent's SDK and its version.
            framework_info() -> FrameworkInfo = Operation::FrameworkInfo, Answer::FrameworkInfo(info) => info;
            /// Enables or disables inputs and outputs of the agent; unset fields stay unchanged.
            update_io(update: IoUpdate) -> () = Operation::UpdateIo(update), Answer::Done => ();
            /// Ends a simulation and returns the agent's verdict. `missing` is set if it has none.
            finalize_simulation(provisional_success: bool, provisional_reason: &str) -> Verdict =
                Operation::FinalizeSimulation {
                    provisional_success,
                    provisional_reason: provisional_reason.to_owned(),
                },
                Answer::Verdict(verdict) => verdict;
            /// Checks that the agent's event loop answers.
            ping() -> () = Operation::Ping, Answer::Done => ();
        }
    };
    (@list $target:ty; $($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $operation:expr, $pattern:pat => $value:expr;)*) => {
        const _: () = {
            use std::time::Duration;

            use $crate::protocol::Error;
            use $crate::protocol::message::{
                AgentInfo, Answer, FrameworkInfo, IoUpdate, Item, ModelUsage, MoreSpeech, Operation, RtcStats,
                SessionState, SpokenTurn, Started, Verdict,
            };
            use $crate::protocol::turn::Turn;

            impl $target {
                $($(#[$doc])*
                ///
                /// Completes within `timeout`, or within the operation's default for `None`.
                /// Dropping the future cancels the call; the session continues.
                ///
                /// # Errors
                /// - `timeout`: no answer in time
                /// - `agent_error`: the agent's own error
                /// - `permission_denied`: the token or a policy in the room doesn't permit it
                /// - `agent_gone`, `session_closed` and other codes: why the session is closed
                pub async fn $name(&self, $($arg: $type,)* timeout: Option<Duration>) -> Result<$answer, Error> {
                    match $crate::driver::call(self, $operation, timeout).await? {
                        $pattern => Ok($value),
                        other => Err($crate::driver::mismatch(stringify!($name), &other)),
                    }
                })*

                /// Ends the session and waits until its agent and its link are gone.
                pub async fn end(&self) {
                    $crate::driver::end(self).await;
                }
            }
        };
    };
}

/// Submits an operation and waits for its answer, on any executor. Dropping the future cancels the
/// call.
///
/// # Errors
/// The operation's error.
pub async fn call(
    driver: &dyn Driver,
    operation: Operation,
    timeout: Option<Duration>,
) -> Result<Answer, Error> {
    check_timeout("timeout", timeout)?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let call = driver.submit(operation, timeout, Box::new(move |answer| drop(sender.send(answer))));
    let guard = CancelOnDrop { driver, call: Some(call) };
    let answer = receiver.await;
    guard.disarm();
    answer.unwrap_or_else(|_| Err(Error::new(Code::Internal, "the session dropped a call without an answer")))
}

/// Ends the session and waits until its agent and its link are gone.
pub async fn end(driver: &dyn Driver) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    driver.close(Box::new(move || {
        let _ = sender.send(());
    }));
    // A dropped sender means the same: there is nothing left to wait for.
    drop(receiver.await);
}

struct CancelOnDrop<'a> {
    driver: &'a dyn Driver,
    call: Option<CallId>,
}

impl CancelOnDrop<'_> {
    fn disarm(mut self) {
        self.call = None;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.driver.cancel(call);
        }
    }
}

/// The events of a session, one after the other, on any executor.
pub struct Events {
    driver: Arc<dyn Driver>,
    wake: Arc<Wake>,
    read: std::vec::IntoIter<Event>,
    next: u64,
    ended: bool,
}

#[derive(Default)]
struct Wake {
    waker: Mutex<Option<Waker>>,
}

impl Events {
    /// Reads the events of `driver` from position `from` on; 0 is the oldest kept event.
    pub fn new(driver: Arc<dyn Driver>, from: u64) -> Self {
        let wake = Arc::new(Wake::default());
        let listener: Weak<Wake> = Arc::downgrade(&wake);
        driver.on_events(listener);
        Self { driver, wake, read: Vec::new().into_iter(), next: from, ended: false }
    }

    /// Returns the next event; `None` after [`EventKind::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| {
            if self.ended {
                return Poll::Ready(None);
            }
            *lock(&self.wake.waker) = Some(context.waker().clone());
            if self.read.len() == 0 {
                let read = self.driver.read_events(self.next, BATCH);
                self.next = read.next;
                self.read = read.events.into_iter();
            }
            match self.read.next() {
                Some(event) => {
                    self.ended = matches!(event.kind, EventKind::Closed { .. });
                    Poll::Ready(Some(event))
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Listener for Wake {
    fn events(&self) {
        if let Some(waker) = lock(&self.waker).take() {
            waker.wake();
        }
    }
}

/// An answer of the wrong kind: a defect.
#[doc(hidden)]
pub fn mismatch(name: &str, answer: &Answer) -> Error {
    Error::new(Code::Internal, format!("{name} was answered with another operation's answer: {answer:?}"))
}

/// Locks; a panic of another holder does not matter, since nothing is left half done under these
/// locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
