//! Why a room cannot be reached: the step that failed, what was found there, and the way out.
//!
//! A join and a look at the way to a server take the same steps and fail with the same words.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use greenroom_protocol::{Code, Error};

/// A step of the way into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The options say what is to be done.
    Options,
    /// The name of the server, or of the proxy before it, is looked up.
    Dns,
    /// A TCP connection to it.
    Connect,
    /// TLS on that.
    Tls,
    /// The server takes the signal connection.
    Signal,
    /// The server takes the token.
    Token,
    /// Datagrams reach the server's media.
    Media,
}

/// Why a room cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The step that failed.
    pub step: Step,
    /// The kind of error.
    pub code: Code,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: String,
}

impl Failure {
    pub(super) fn new(step: Step, code: Code, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { step, code, found: found.into(), advice: advice.into() }
    }

    /// A failure that has no advice beyond what its error says.
    pub(super) fn of(step: Step, error: Error) -> Self {
        Self { step, code: error.code, found: error.message, advice: String::new() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let Failure { code, found, advice, .. } = failure;
        let message = if advice.is_empty() { found } else { format!("{found}; {advice}") };
        Self::new(code, message)
    }
}

/// How long a step may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    until: Instant,
    limit: Duration,
}

impl Deadline {
    /// Ends this long from now.
    pub fn after(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, limit }
    }

    /// Ends shortly before this long from now, for a caller that waits so long itself and would not
    /// say what it waited for.
    pub(super) fn just_before(limit: Duration) -> Self {
        let margin = (limit / 10).min(Duration::from_millis(20));
        Self { until: Instant::now() + (limit - margin), limit }
    }

    /// Waits for `work`, and fails with a text that names the limit.
    pub(super) async fn bound<T>(
        self,
        work: impl Future<Output = Result<T, Failure>>,
        late: impl FnOnce(humantime::FormattedDuration) -> Failure,
    ) -> Result<T, Failure> {
        match tokio::time::timeout_at(self.until.into(), work).await {
            Ok(done) => done,
            Err(_) => Err(late(humantime::format_duration(self.limit))),
        }
    }
}

/// The most addresses that an error lists.
const LISTED: usize = 8;

/// Lists addresses, the first of many.
pub(super) fn listed(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().take(LISTED).map(ToString::to_string).collect();
    let more = match addresses.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}
