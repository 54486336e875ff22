//! The line of an agent's log that says most of why it failed.

const TRACEBACK: &str = "Traceback (most recent call last):";

/// Returns the last words of the SDK, else the last exception, else the last line that is none of
/// the SDK's ordinary ones.
pub(super) fn headline<L: AsRef<str>>(lines: &[L]) -> Option<&str> {
    let all = || lines.iter().map(AsRef::as_ref);
    let last_words = all().filter_map(|line| Some(line.split_once("console mode failed: ")?.1)).next_back();
    last_words
        .or_else(|| python_exception(lines))
        .or_else(|| all().rfind(|line| is_flush(line) && is_error(line)))
        .or_else(|| all().rfind(|line| is_flush(line) && !is_ordinary(line)))
        .map(without_frame)
}

/// The exception of the last traceback. A cancellation says nothing: it is what another failure brings
/// about, and the one that it stands behind is meant.
fn python_exception<L: AsRef<str>>(lines: &[L]) -> Option<&str> {
    let mut exceptions = Vec::new();
    let mut rest = lines;
    while let Some(at) = rest.iter().position(|line| header_margin(line.as_ref()).is_some()) {
        let margin = header_margin(rest[at].as_ref()).unwrap_or_default();
        rest = &rest[at + 1..];
        let exception = rest.iter().map(AsRef::as_ref).find_map(|line| {
            let text = line.strip_prefix(margin)?;
            is_flush(text).then_some(text)
        });
        exceptions.extend(exception);
    }
    let is_cancellation =
        |text: &&str| text.split(':').next().is_some_and(|name| name.ends_with("CancelledError"));
    let last = exceptions.iter().rfind(|text| !is_cancellation(text));
    last.or(exceptions.last()).copied()
}

/// What stands before the lines of the traceback that this line opens. That of an exception within a
/// group opens none: the group is meant.
fn header_margin(line: &str) -> Option<&'static str> {
    if line.starts_with(TRACEBACK) {
        Some("")
    } else {
        let group = line.strip_prefix("  + Exception Group ")?;
        group.starts_with(TRACEBACK).then_some("  | ")
    }
}

/// A line without the frame that command line frameworks draw around their messages.
fn without_frame(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || ('\u{2500}'..='\u{257f}').contains(&c))
}

fn is_flush(line: &str) -> bool {
    line.starts_with(|c: char| !c.is_whitespace())
}

/// `SyntaxError: …`, `Error [ERR_MODULE_NOT_FOUND]: …`, and what Node says of a rejection that nothing
/// handles and of a value that is no error.
fn is_error(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or_default().trim_start_matches('[');
    name.ends_with("Error") || name == "UnhandledPromiseRejection" || name == "Uncaught"
}

/// Whether the line says nothing of a failure: it has no words, is a frame, or is logged at a level below
/// ERROR.
fn is_ordinary(line: &str) -> bool {
    let text = line.trim();
    let is_of_node = ["at ", "Node.js v", "(Use `node --trace", "Thrown at:"];
    if !text.contains(char::is_alphanumeric)
        || text.starts_with(super::process::BOOTSTRAP_SAYS)
        || is_of_node.iter().any(|start| text.starts_with(start))
    {
        return true;
    }
    // pino's levels below ERROR.
    if let Some(level) = text.strip_prefix("{\"level\":").and_then(|rest| rest.split(',').next()) {
        return level.parse::<u32>().is_ok_and(|level| level < 50);
    }
    // `22:10:04 DEBUG livekit.agents …` or `[22:10:04.123] INFO (4711): …`.
    let mut words = text.split_whitespace();
    let time = words.next().unwrap_or_default().trim_matches(['[', ']']);
    let is_time = time.len() >= 8 && time.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte));
    let level = words.next().unwrap_or_default();
    is_time && ["TRACE", "DEBUG", "DEV", "INFO", "WARNING", "WARN"].contains(&level.trim_matches(':'))
}

#[cfg(test)]
mod tests {
    use super::headline;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(headline(&lines), expected);
    }

    #[test]
    fn exception_group_is_named_by_its_own_line() {
        let log = "\
22:16:02 ERROR livekit.agents unhandled exception while running the job task
  + Exception Group Traceback (most recent call last):
  |   File \"a.py\", line 1, in f
  |     raise group
  | ExceptionGroup: two lookups failed (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File \"a.py\", line 1, in f
    | ValueError: one
    +---------------- 2 ----------------
    | KeyError: 'two'
    +------------------------------------
22:16:02 DEBUG livekit.agents job exiting {\"reason\": \"job crashed\"}";
        check(log, Some("ExceptionGroup: two lookups failed (2 sub-exceptions)"));
    }

    #[test]
    fn cancellation_does_not_hide_the_exception_behind_it() {
        let log = "\
Traceback (most recent call last):
  File \"a.py\", line 118, in sys_exit
    sys.exit(\"a tool exits\")
SystemExit: a tool exits

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"b.py\", line 497, in execute
    return await first_update_fut
asyncio.exceptions.CancelledError
22:13:19 DEBUG livekit.agents tools execution completed {}";
        check(log, Some("SystemExit: a tool exits"));
    }

    #[test]
    fn ordinary_lines_are_no_headline() {
        let log = "\
22:18:38 INFO livekit.agents initializing job runner {\"tid\": 9024}
22:18:39 DEBUG asyncio Using selector: EpollSelector
+------------------------------------
╰──────────────────────────────────╯";
        check(log, None);
        check(&format!("no configuration\n{log}"), Some("no configuration"));
        check("22:18:38 ERROR livekit.agents no model", Some("22:18:38 ERROR livekit.agents no model"));
    }

    #[test]
    fn last_words_of_the_node_sdk_come_first() {
        let log = "Error: one\nconsole mode failed: no key configured\n    at f (file:///a.mjs:1:1)";
        check(log, Some("no key configured"));
    }

    #[test]
    fn error_without_traceback_is_the_headline() {
        let log = "file:///a.mjs:1\n  x\n  ^\nRangeError: too far\n    at f (file:///a.mjs:1:1)\n\nNode.js v24.21.0";
        check(log, Some("RangeError: too far"));
    }
}
