//! What every session can do, however it is reached: the one shape behind all languages.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use greenroom_protocol::journal::Read;
use greenroom_protocol::message::{Answer, Event, EventKind, Operation};
use greenroom_protocol::session::CallId;
use greenroom_protocol::time::check_timeout;
use greenroom_protocol::{Code, Error};

/// Takes the answer to one operation; it is called exactly once.
pub type Reply = Box<dyn FnOnce(Result<Answer, Error>) + Send>;

/// How many events are read at once.
const BATCH: usize = 256;

/// Hears that there are new events. Called on the session's thread: cheap work only.
pub trait Listener: Send + Sync {
    /// There is more to read.
    fn events(&self);
}

/// A session, however it is reached. Nothing here blocks.
pub trait Driver: Send + Sync {
    /// Submits an operation; `reply` gets its answer within `timeout`, or within the operation's default where it is `None`.
    fn submit(&self, operation: Operation, timeout: Option<Duration>, reply: Reply) -> CallId;

    /// Gives a call up; its reply gets the code `cancelled`, if it has no answer yet.
    fn cancel(&self, call: CallId);

    /// Reads up to `most` of the recent events from place `from` on; 0 is the beginning of what is kept.
    fn read_events(&self, from: u64, most: usize) -> Read;

    /// The place after the last event.
    fn end_of_events(&self) -> u64;

    /// Lets `listener` know of new events for as long as it lives.
    fn on_events(&self, listener: Weak<dyn Listener>);

    /// How the session stands, as a JSON object.
    fn status(&self) -> serde_json::Value;

    /// Ends the session; `done` is called once its agent and its link are gone. May be called again.
    fn close(&self, done: Box<dyn FnOnce() + Send>);

    /// Ends the session itself, where closing only lets go of it; `done` gets how that went. May be called again.
    fn end_session(&self, done: Box<dyn FnOnce(Result<(), Error>) + Send>) {
        self.close(Box::new(|| done(Ok(()))));
    }
}

/// Gives a type that implements [`Driver`] the typed calls, as methods of its own. The one list of them.
#[doc(hidden)]
#[macro_export]
macro_rules! typed_calls {
    ($target:ty) => {
        $crate::typed_calls! { @list $target;
            /// Waits until the session is ready.
            ready() -> Started = Operation::Start, Answer::Started(started) => started;
            /// One text turn of the user. Turns queue and go one at a time.
            say(text: &str) -> Turn = Operation::Say { text: text.to_owned() }, Answer::Turn(turn) => turn;
            /// One turn of the user, aloud, in a session with audio. `greenroom_engine::voice` makes speech of files and samples.
            say_audio(spoken: SpokenTurn) -> Turn = Operation::SayAudio(spoken), Answer::Turn(turn) => turn;
            /// More of what a turn says whose [`SpokenTurn`] is live.
            say_more(more: MoreSpeech) -> () = Operation::SayMore(more), Answer::Done => ();
            /// The whole conversation.
            history() -> Vec<Item> = Operation::History, Answer::History { items } => items;
            /// The agent's instructions, tools and context.
            agent_info() -> AgentInfo = Operation::AgentInfo, Answer::AgentInfo(info) => info;
            /// What agent and user are doing, and the session's options.
            session_state() -> SessionState = Operation::SessionState, Answer::SessionState(state) => state;
            /// What the models have used so far.
            usage() -> Vec<ModelUsage> = Operation::Usage, Answer::Usage { models } => models;
            /// The agent's WebRTC statistics.
            rtc_stats() -> RtcStats = Operation::RtcStats, Answer::RtcStats(stats) => stats;
            /// The agent's SDK and its version.
            framework_info() -> FrameworkInfo = Operation::FrameworkInfo, Answer::FrameworkInfo(info) => info;
            /// Turns inputs and outputs of the agent on or off.
            update_io(update: IoUpdate) -> () = Operation::UpdateIo(update), Answer::Done => ();
            /// Asks the agent for its verdict on a simulation.
            finalize_simulation(provisional_success: bool, provisional_reason: &str) -> Verdict =
                Operation::FinalizeSimulation {
                    provisional_success,
                    provisional_reason: provisional_reason.to_owned(),
                },
                Answer::Verdict(verdict) => verdict;
            /// Asks whether the session answers.
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
                /// It ends within `timeout`, or within the operation's default where it is `None`. Dropping the future
                /// cancels the call; the session goes on.
                ///
                /// # Errors
                /// The agent's error, a timeout, or why the session is closed.
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

/// Submits an operation and waits for its answer, on any executor. Dropping the future cancels the call.
///
/// # Errors
/// What the operation ends with.
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
    /// The events of `driver` from place `from` on; 0 is the beginning of what is kept.
    pub fn new(driver: Arc<dyn Driver>, from: u64) -> Self {
        let wake = Arc::new(Wake::default());
        let listener: Weak<Wake> = Arc::downgrade(&wake);
        driver.on_events(listener);
        Self { driver, wake, read: Vec::new().into_iter(), next: from, ended: false }
    }

    /// The next event; `None` after [`EventKind::Closed`].
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

/// Locks; a panic of another holder does not matter, since nothing is left half done under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
