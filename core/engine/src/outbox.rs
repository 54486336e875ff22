//! Answers and events for a host language: one queue, and one wake when it goes from empty to not empty.
//!
//! The queue holds at most the answers of the calls that its owner has submitted, so it is as bounded as they are; events stay in the
//! session's journal until they are read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use greenroom_protocol::Error;
use greenroom_protocol::message::{Answer, Operation};
use greenroom_protocol::session::CallId;

use crate::driver::{Driver, Listener, lock};

/// An answer, under the number that the host language gave its call.
pub type Completion = (u64, Result<Answer, Error>);

/// Collects what a session has for a host language.
pub struct Outbox {
    completions: Mutex<VecDeque<Completion>>,
    woken: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Outbox {
    /// An empty outbox. `wake` is called on any thread, once, when there is something to [`drain`](Self::drain); it must not block.
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { completions: Mutex::default(), woken: AtomicBool::new(false), wake })
    }

    /// Submits an operation; its answer comes under `token`.
    pub fn submit(
        self: &Arc<Self>,
        driver: &dyn Driver,
        token: u64,
        operation: Operation,
        timeout: Option<Duration>,
    ) -> CallId {
        let outbox = Arc::clone(self);
        driver.submit(operation, timeout, Box::new(move |answer| outbox.complete(token, answer)))
    }

    /// Ends the session; the completion under `token` says that it is gone.
    pub fn close(self: &Arc<Self>, driver: &dyn Driver, token: u64) {
        let outbox = Arc::clone(self);
        driver.close(Box::new(move || outbox.complete(token, Ok(Answer::Done))));
    }

    /// Ends the session itself, where closing only lets go of it; the completion under `token` says how that went.
    pub fn end_session(self: &Arc<Self>, driver: &dyn Driver, token: u64) {
        let outbox = Arc::clone(self);
        driver.end_session(Box::new(move |ended| outbox.complete(token, ended.map(|()| Answer::Done))));
    }

    /// From now on new events of the session wake too.
    pub fn watch(self: &Arc<Self>, driver: &dyn Driver) {
        let listener: Weak<Self> = Arc::downgrade(self);
        driver.on_events(listener);
    }

    /// Takes all answers. Afterwards new answers and events wake again, so read the journal after this, not before.
    pub fn drain(&self) -> Vec<Completion> {
        self.woken.store(false, Ordering::SeqCst);
        lock(&self.completions).drain(..).collect()
    }

    fn complete(&self, token: u64, answer: Result<Answer, Error>) {
        lock(&self.completions).push_back((token, answer));
        self.wake();
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            (self.wake)();
        }
    }
}

impl Listener for Outbox {
    fn events(&self) {
        self.wake();
    }
}
