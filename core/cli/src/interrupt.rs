//! Ctrl-C: ends what a command waits for. A second one ends the command itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use greenroom_control::client::Interrupter;
use greenroom_protocol::{Code, Error};

#[derive(Default)]
struct State {
    interrupted: AtomicBool,
    wait: Mutex<Option<Interrupter>>,
}

static STATE: OnceLock<Arc<State>> = OnceLock::new();

/// From now on Ctrl-C (and a polite signal to end) does not end the process at once.
///
/// # Errors
/// `io`, when the system does not let it.
pub(crate) fn catch() -> Result<(), Error> {
    if STATE.get().is_some() {
        return Ok(());
    }
    let state = Arc::clone(STATE.get_or_init(Arc::default));
    let handler = move || {
        if state.interrupted.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(Code::Cancelled.exit_code()));
        }
        if let Some(wait) = &*state.wait.lock().unwrap_or_else(PoisonError::into_inner) {
            wait.interrupt();
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Error::new(Code::Io, format!("Ctrl-C cannot be caught: {error}")))
}

/// What Ctrl-C ends, from now on.
///
/// # Errors
/// See [`catch`].
pub(crate) fn ends(wait: Interrupter) -> Result<(), Error> {
    catch()?;
    if let Some(state) = STATE.get() {
        *state.wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
    }
    Ok(())
}

/// Whether it was pressed.
pub(crate) fn happened() -> bool {
    STATE.get().is_some_and(|state| state.interrupted.load(Ordering::SeqCst))
}
