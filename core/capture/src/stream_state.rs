//! What a stream's handle and its pump share: a queue, events, the end, and who waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::error::AudioError;
use crate::event::{Event, Events};

/// Tasks that wait at once; with more, all are woken to ask again.
const MOST_WAITERS: usize = 32;

/// How long a stream may take to close. A device that does not let go is left behind after that.
const CLOSE: Duration = Duration::from_secs(2);

/// Shared by a handle and its pump.
#[derive(Debug)]
pub(crate) struct StreamState<Q> {
    process: u32,
    closing: AtomicBool,
    pump: OnceLock<Thread>,
    state: Mutex<State<Q>>,
}

/// What is behind the lock, which is held for microseconds.
#[derive(Debug)]
pub(crate) struct State<Q> {
    pub(crate) queue: Q,
    pub(crate) events: Events,
    /// The device that is open, or was last.
    pub(crate) device: String,
    /// How the stream ended, once it has.
    pub(crate) end: Option<Result<(), AudioError>>,
    gone: bool,
    waiters: Vec<Waker>,
}

impl<Q> StreamState<Q> {
    pub(crate) fn new(queue: Q) -> Arc<Self> {
        Arc::new(Self {
            process: std::process::id(),
            closing: AtomicBool::new(false),
            pump: OnceLock::new(),
            state: Mutex::new(State {
                queue,
                events: Events::default(),
                device: String::new(),
                end: None,
                gone: false,
                waiters: Vec::new(),
            }),
        })
    }

    /// Starts the pump. However it ends, whoever waits is told.
    pub(crate) fn start(
        self: &Arc<Self>,
        name: &str,
        pump: impl FnOnce() + Send + 'static,
    ) -> Result<(), AudioError>
    where
        Q: Send + 'static,
    {
        let guard = Guard(Arc::clone(self));
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let guard = guard;
            let _ = guard.0.pump.set(thread::current());
            pump();
        });
        spawned
            .map(drop)
            .map_err(|error| AudioError::Unavailable(format!("no thread can be started: {error}")))
    }

    /// Fails in a process that a fork made: the pump is in the other one, and may have had the lock.
    pub(crate) fn check(&self) -> Result<(), AudioError> {
        if self.process == std::process::id() { Ok(()) } else { Err(AudioError::Forked) }
    }

    /// Reads or changes something that nobody waits for.
    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut State<Q>) -> R) -> R {
        run(&mut self.lock())
    }

    /// Changes something that somebody may wait for.
    pub(crate) fn change<R>(&self, run: impl FnOnce(&mut State<Q>) -> R) -> R {
        let mut state = self.lock();
        let result = run(&mut state);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
        result
    }

    /// Gives what `run` finds, or remembers who asks and wakes them at the next change.
    pub(crate) fn poll<R>(
        &self,
        context: &Context<'_>,
        run: impl FnOnce(&mut State<Q>) -> Option<R>,
    ) -> Poll<R> {
        let mut state = self.lock();
        if let Some(found) = run(&mut state) {
            return Poll::Ready(found);
        }
        if !state.waiters.iter().any(|waiter| waiter.will_wake(context.waker())) {
            if state.waiters.len() == MOST_WAITERS {
                state.waiters.drain(..).for_each(Waker::wake);
            }
            state.waiters.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// The next event; `None` after the last, once the stream has ended.
    pub(crate) fn poll_event(&self, context: &Context<'_>) -> Poll<Result<Option<Event>, AudioError>> {
        self.check()?;
        self.poll(context, |state| match state.events.pop() {
            Some(event) => Some(Ok(Some(event))),
            None => state.end.is_some().then_some(Ok(None)),
        })
    }

    /// Has the pump look again.
    pub(crate) fn nudge(&self) {
        if let Some(pump) = self.pump.get() {
            pump.unpark();
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ends the stream and waits until its device is closed.
    pub(crate) fn close(&self) -> Result<(), AudioError> {
        self.check()?;
        self.let_go();
        wait(Some(CLOSE), |context| self.poll(context, |state| state.gone.then_some(()))).ok_or_else(|| {
            AudioError::Timeout {
                what: format!("closing {}", self.with(|state| state.device.clone())),
                after: CLOSE,
            }
        })
    }

    /// Ends the stream and waits for nothing.
    pub(crate) fn let_go(&self) {
        self.closing.store(true, Ordering::Release);
        self.nudge();
    }

    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        // Nothing is left half done in here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells that the pump is gone, however it went.
struct Guard<Q>(Arc<StreamState<Q>>);

impl<Q> Drop for Guard<Q> {
    fn drop(&mut self) {
        let panicked = thread::panicking();
        self.0.change(|state| {
            state.gone = true;
            if state.end.is_none() {
                let device = state.device.clone();
                state.end = Some(if panicked { Err(AudioError::Panicked(device)) } else { Ok(()) });
            }
        });
    }
}

/// Asks until there is something, in the calling thread; `None` when the time is over. Without a timeout it waits for ever.
pub(crate) fn wait<R>(
    timeout: Option<Duration>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Option<R> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    // What cannot be added to now is as good as for ever.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(found) = poll(&mut context) {
            return Some(found);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => return None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use super::{StreamState, wait};
    use crate::error::AudioError;

    #[test]
    fn a_fork_is_told_and_takes_no_lock() {
        let mut stream = StreamState::new(());
        Arc::get_mut(&mut stream).expect("the only reference").process += 1;
        // Held by a thread that the fork does not have.
        let _held = stream.lock();
        assert_eq!(stream.check(), Err(AudioError::Forked));
        assert_eq!(stream.close(), Err(AudioError::Forked));
        let polled = wait(Some(Duration::ZERO), |context| stream.poll_event(context));
        assert_eq!(polled, Some(Err(AudioError::Forked)));
    }

    #[test]
    fn a_pump_that_panics_is_an_error_for_who_waits() {
        let stream = StreamState::new(());
        stream.with(|state| "mic".clone_into(&mut state.device));
        stream.start("greenroom-test", || panic!("as the test wants")).expect("a thread");
        let end =
            wait(Some(Duration::from_secs(10)), |context| stream.poll(context, |state| state.end.clone()));
        assert_eq!(end, Some(Err(AudioError::Panicked("mic".to_owned()))));
    }

    #[test]
    fn waits_end_in_time_and_wake_for_changes() {
        let stream = StreamState::new(0);
        let never = wait(Some(Duration::from_millis(10)), |context| {
            stream.poll(context, |state| (state.queue > 0).then_some(state.queue))
        });
        assert_eq!(never, None);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                wait(Some(Duration::from_secs(10)), |context| {
                    stream.poll(context, |state| (state.queue > 0).then_some(state.queue))
                })
            });
            stream.change(|state| state.queue = 7);
            assert_eq!(waiting.join().expect("no panic"), Some(7));
        });
        assert!(matches!(wait(None, |_| Poll::Ready(())), Some(())));
    }
}
