//! A function of the host language as a device. The stream's thread asks for a call and waits until it was made; the event loop is woken,
//! makes it in its own time, and answers. So the function runs where the host language runs, and no thread of ours ever enters it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use greenroom_audio::device::Filled;
use greenroom_audio::{DeviceError, Format, Sink, Source};

/// What lies between the thread of a stream and the event loop that makes its calls.
pub(crate) struct Calls {
    format: Format,
    waker: Waker,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The call that nobody has taken yet.
    asked: Option<Call>,
    answer: Option<Answer>,
    /// Nobody waits for calls any more.
    is_over: bool,
}

/// What the function is called with.
enum Call {
    /// To give so many samples of each channel.
    Give(usize),
    /// To take interleaved samples.
    Take(Vec<f32>),
}

/// What came of a call: samples, none of them where it took some or has no more; or why it failed.
type Answer = Result<Vec<f32>, String>;

impl Calls {
    pub(crate) fn new(format: Format, waker: Waker) -> Arc<Self> {
        Arc::new(Self { format, waker, state: Mutex::default(), changed: Condvar::new() })
    }

    /// The function as a device that is recorded from.
    pub(crate) fn source(self: &Arc<Self>) -> Box<dyn Source> {
        Box::new(FunctionSource { calls: Arc::clone(self), left: Vec::new(), place: 0, ended: false })
    }

    /// The function as a device that is played to.
    pub(crate) fn sink(self: &Arc<Self>) -> Box<dyn Sink> {
        Box::new(FunctionSink(Arc::clone(self)))
    }

    pub(crate) const fn channels(&self) -> usize {
        self.format.channels()
    }

    /// How many samples of each channel the function is to give; once for each call.
    pub(crate) fn poll_wanted(&self) -> Option<usize> {
        match self.lock().asked.take()? {
            Call::Give(samples) => Some(samples),
            Call::Take(_) => None,
        }
    }

    /// What the function is to take; once for each call.
    pub(crate) fn poll_played(&self) -> Option<Vec<f32>> {
        match self.lock().asked.take()? {
            Call::Give(_) => None,
            Call::Take(samples) => Some(samples),
        }
    }

    /// Answers the call that was taken last.
    pub(crate) fn answer(&self, answer: Answer) {
        self.lock().answer = Some(answer);
        self.changed.notify_all();
    }

    /// No call is waited for any longer: the stream is to close.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Has a call made, and waits for it; `None` once all is over.
    fn make(&self, call: Call) -> Option<Answer> {
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        state.answer = None;
        state.asked = Some(call);
        drop(state);
        self.waker.wake_by_ref();
        let waits = |state: &mut State| state.answer.is_none() && !state.is_over;
        let answered = self.changed.wait_while(self.lock(), waits);
        answered.unwrap_or_else(PoisonError::into_inner).answer.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done in here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct FunctionSource {
    calls: Arc<Calls>,
    /// What the last call gave beyond what was asked for, from `place` on.
    left: Vec<f32>,
    place: usize,
    ended: bool,
}

impl Source for FunctionSource {
    fn format(&self) -> Format {
        self.calls.format
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        let channels = self.format().channels();
        let wanted = samples.len() / channels * channels;
        let mut got = 0;
        while got < wanted && !self.ended {
            if self.place == self.left.len() {
                let given = self.calls.make(Call::Give((wanted - got) / channels));
                self.left = given.unwrap_or_else(|| Ok(Vec::new())).map_err(DeviceError::Function)?;
                self.place = 0;
                self.ended = self.left.is_empty();
            }
            let count = (wanted - got).min(self.left.len() - self.place);
            samples[got..got + count].copy_from_slice(&self.left[self.place..self.place + count]);
            self.place += count;
            got += count;
        }
        Ok(Filled { samples: got / channels, lost: 0, ended: self.ended })
    }
}

struct FunctionSink(Arc<Calls>);

impl Sink for FunctionSink {
    fn format(&self) -> Format {
        self.0.format
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), DeviceError> {
        match self.0.make(Call::Take(samples.to_vec())) {
            Some(Err(why)) => Err(DeviceError::Function(why)),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}
