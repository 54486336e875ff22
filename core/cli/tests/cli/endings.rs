//! Agents of the released SDKs that end or misbehave, each in its way, through the command.
//!
//! `tests/agents` has one in each language: a word calls the tool that does it. `make test` sets
//! GREENROOM_TEST_PYTHON and GREENROOM_TEST_NODE_MODULES; without them these tests are left out, except on CI.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::{Outcome, Stage, eventually, finish_within, runs};

/// What a command that waits for a real agent may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A session's place, and the arguments that start its agent.
struct Agent {
    stage: Stage,
    start: Vec<String>,
}

impl Agent {
    fn python() -> Option<Self> {
        let python = given("GREENROOM_TEST_PYTHON")?;
        Some(Self::new("faulty.py", &["--python", &python]))
    }

    fn node() -> Option<Self> {
        let modules = std::path::absolute(given("GREENROOM_TEST_NODE_MODULES")?).unwrap();
        let agent = Self::new("faulty.mjs", &[]);
        std::os::unix::fs::symlink(modules, agent.stage.path().join("node_modules")).unwrap();
        Some(agent)
    }

    fn new(file: &str, more: &[&str]) -> Self {
        let stage = Stage::new();
        let agents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/agents");
        std::fs::copy(agents.join(file), stage.path().join(file)).unwrap();
        let words = ["start", file].into_iter().chain(more.iter().copied());
        Self { stage, start: words.map(str::to_owned).collect() }
    }

    /// Starts the agent, which fails in the way of that name before it is ready.
    fn fails(&self, how: &str, more: &[&str]) -> Outcome {
        let mut args: Vec<&str> = self.start.iter().map(String::as_str).collect();
        args.extend(more);
        if !more.contains(&"--timeout") {
            args.extend(["--timeout", "90s"]);
        }
        let mut command = self.stage.command(&args);
        command.env("START", how);
        finish_within(command.spawn().unwrap(), PATIENCE)
    }

    fn started(self) -> Self {
        self.started_with(&[])
    }

    fn started_with(self, more: &[&str]) -> Self {
        self.fails("", more).ok();
        self
    }

    fn run(&self, args: &[&str]) -> Outcome {
        finish_within(self.stage.command(args).spawn().unwrap(), PATIENCE)
    }

    fn say(&self, text: &str) -> Outcome {
        self.run(&["say", text])
    }

    fn turn(&self, text: &str) -> Value {
        self.run(&["say", "--json", text]).ok().json()
    }

    fn history(&self) -> Vec<Value> {
        self.run(&["history", "--json"]).ok().json()["items"].as_array().unwrap().clone()
    }

    fn events(&self) -> Vec<Value> {
        let lines = self.run(&["events", "--json", "--last", "0"]).ok().stdout;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn status(&self) -> Outcome {
        self.run(&["status", "--json"])
    }
}

fn given(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    assert!(value.is_some() || std::env::var_os("CI").is_none(), "{variable} has to be set on CI");
    value
}

/// The calls of a tool in a turn or a history.
fn calls(items: &[Value]) -> Vec<&Value> {
    items.iter().filter(|item| item["type"] == "tool_call").collect()
}

fn events(turn: &Value) -> &[Value] {
    turn["events"].as_array().unwrap()
}

/// The agent hangs up in the turn that says `text`, and says goodbye in it.
#[track_caller]
fn hangs_up(agent: &Agent, text: &str, goodbye: &str) {
    let agent_pid = agent.status().ok().json()["agent_pid"].as_u64().unwrap() as u32;
    agent.say(text).ok().printed(goodbye);
    let mut ended = false;
    eventually("the session has ended", || {
        let asked = Instant::now();
        let status = agent.status().ok().json();
        assert!(asked.elapsed() < Duration::from_secs(20), "the daemon answers all the time");
        ended = status["state"] == "ended";
        ended
    });
    eventually("the agent's process is gone", || !runs(agent_pid));
    assert_eq!(agent.status().json()["reason"], "agent_ended");
    agent.run(&["status"]).ok().printed("ended: the agent hung up");
    let events = agent.events();
    let last: Vec<&Value> = events.iter().rev().take(2).collect();
    assert_eq!((&last[0]["type"], &last[0]["reason"]), (&"closed".into(), &"agent_ended".into()));
    assert_eq!(last[1]["type"], "session_closed", "{last:?}");
    agent.run(&["history"]).ok().printed(text).printed(goodbye);
    agent.run(&["logs"]).ok();
    agent.say("hello").code(3).told("the agent hung up");
    agent.run(&["end"]).ok().told("Session ended.");
    agent.status().code(3);
}

#[test]
fn python_tool_that_ends_the_job_hangs_up() {
    let Some(agent) = Agent::python() else { return };
    hangs_up(&agent.started(), "tool job shutdown", "goodbye");
}

#[test]
fn python_tool_that_ends_the_session_hangs_up() {
    let Some(agent) = Agent::python() else { return };
    hangs_up(&agent.started(), "tool session shutdown", "The tool said: goodbye");
}

#[test]
fn python_tool_that_closes_the_session_hangs_up() {
    let Some(agent) = Agent::python() else { return };
    hangs_up(&agent.started(), "tool session aclose", "goodbye");
}

#[test]
fn python_end_call_tool_of_the_sdk_hangs_up() {
    let Some(agent) = Agent::python() else { return };
    hangs_up(&agent.started(), "end call", "The tool said: say goodbye");
}

#[test]
fn python_agent_with_a_quiet_logger_hangs_up() {
    for (text, goodbye) in [("end call", "The tool said: say goodbye"), ("tool job shutdown", "goodbye")] {
        let Some(agent) = Agent::python() else { return };
        agent.fails("quiet", &[]).ok();
        let log = std::fs::read_to_string(agent.status().ok().json()["log_path"].as_str().unwrap()).unwrap();
        assert!(!log.contains("initializing job runner"), "the logger is quiet: {log}");
        hangs_up(&agent, text, goodbye);
    }
}

#[test]
fn python_agent_with_a_quiet_logger_dies_and_is_named_at_once() {
    let Some(agent) = Agent::python() else { return };
    agent.fails("quiet", &[]).ok();
    dies(&agent, "tool stop loop", "event loop has ended", "RuntimeError: Event loop stopped before");
}

#[test]
fn node_tool_that_ends_the_job_hangs_up() {
    let Some(agent) = Agent::node() else { return };
    hangs_up(&agent.started(), "tool job shutdown", "job_shutdown");
}

#[test]
fn node_tool_that_ends_the_session_hangs_up() {
    let Some(agent) = Agent::node() else { return };
    hangs_up(&agent.started(), "tool session shutdown", "goodbye");
}

#[test]
fn node_tool_that_closes_the_session_hangs_up() {
    let Some(agent) = Agent::node() else { return };
    hangs_up(&agent.started(), "tool session close", "session_close");
}

#[test]
fn node_end_call_tool_of_the_sdk_hangs_up() {
    let Some(agent) = Agent::node() else { return };
    hangs_up(&agent.started(), "end call", "say goodbye");
}

/// The turn that says `text` fails at once, and names `why`.
#[track_caller]
fn dies(agent: &Agent, text: &str, what: &str, why: &str) {
    let said = Instant::now();
    agent.say(text).code(3).told(what).told(why);
    assert!(said.elapsed() < Duration::from_secs(30), "not the turn's own deadline: {:?}", said.elapsed());
    eventually("the session has ended", || agent.status().json()["state"] == "ended");
    agent.status().code(3);
}

#[test]
fn python_sys_exit_in_a_tool_is_named_at_once() {
    let Some(agent) = Agent::python() else { return };
    dies(&agent.started(), "tool sys exit", "event loop has ended", "SystemExit: a tool exits");
}

#[test]
fn python_stopped_loop_is_named_at_once() {
    let Some(agent) = Agent::python() else { return };
    dies(
        &agent.started(),
        "tool stop loop",
        "event loop has ended",
        "RuntimeError: Event loop stopped before",
    );
}

#[test]
fn python_cancelled_tasks_are_named_at_once() {
    let Some(agent) = Agent::python() else { return };
    dies(&agent.started(), "tool cancel all", "event loop has ended", "CancelledError");
}

#[test]
fn python_os_exit_in_a_tool_is_named_at_once() {
    let Some(agent) = Agent::python() else { return };
    dies(&agent.started(), "tool os exit", "the agent exited", "exit status: 7");
}

#[test]
fn node_exits_in_a_tool_are_named_at_once() {
    let Some(agent) = Agent::node() else { return };
    let agent = agent.started();
    dies(&agent, "tool process exit", "the agent exited", "exit status: 7");
    dies(&agent.started(), "tool process exit well", "the agent exited", "exit status: 0");
}

#[test]
fn node_errors_that_nothing_handles_are_the_headline() {
    let Some(agent) = Agent::node() else { return };
    let agent = agent.started();
    dies(&agent, "tool unhandled rejection", "the agent exited", ": RangeError: nothing waits for this");
    let agent = agent.started();
    dies(&agent, "tool throw late", "the agent exited", ": TypeError: thrown by a timer");
    let agent = agent.started();
    dies(&agent, "tool unhandled undefined", "the agent exited", "rejected with the reason \"undefined\"");
}

/// An event loop that is blocked for a while is reported, and the turn goes on; one that is blocked for good is
/// named by the turn's deadline, and keeps no command waiting.
fn blocked_loop_is_reported(agent: &Agent) {
    let turn = agent.turn("tool block for a while");
    let reports: Vec<&Value> =
        events(&turn).iter().filter(|event| event["type"] == "agent_unresponsive").collect();
    assert!(turn["reply"].as_str().unwrap().contains("awake again"), "{turn}");
    let [first, last] = reports[..] else { panic!("two reports: {turn}") };
    assert!(first["silent_ms"].as_f64().unwrap() < 7_000.0, "while it is blocked: {first}");
    assert_eq!((&first["recovered"], &last["recovered"]), (&Value::Null, &true.into()));

    let said = Instant::now();
    agent.run(&["say", "--timeout", "6s", "tool block for good"]).code(5).told("its event loop is blocked");
    assert!(said.elapsed() < Duration::from_secs(30));
    let asked = Instant::now();
    agent.status().ok();
    agent.run(&["end"]).ok();
    assert!(asked.elapsed() < Duration::from_secs(15), "nothing waits for a blocked agent");
}

#[test]
fn python_blocked_loop_is_reported() {
    let Some(agent) = Agent::python() else { return };
    blocked_loop_is_reported(&agent.started());
}

#[test]
fn node_blocked_loop_is_reported() {
    let Some(agent) = Agent::node() else { return };
    blocked_loop_is_reported(&agent.started());
}

/// The events of that type so far.
fn of_type(agent: &Agent, name: &str) -> Vec<Value> {
    agent.events().into_iter().filter(|event| event["type"] == name).collect()
}

/// A loop that a timer blocks between turns is reported while it is blocked, and again when it is back.
fn loop_that_blocks_between_turns_is_reported(agent: &Agent) {
    agent.say("tool block later").ok();
    eventually("the silence is reported", || !of_type(agent, "agent_unresponsive").is_empty());
    let first = &of_type(agent, "agent_unresponsive")[0];
    assert!(first["silent_ms"].as_f64().unwrap() < 6_500.0, "{first}");
    assert_eq!(first["recovered"], Value::Null);
    eventually("the recovery is reported", || of_type(agent, "agent_unresponsive").len() == 2);
    assert_eq!(of_type(agent, "agent_unresponsive")[1]["recovered"], true);
    agent.say("hello").ok();
    agent.run(&["end"]).ok();
}

#[test]
fn python_loop_that_blocks_between_turns_is_reported() {
    let Some(agent) = Agent::python() else { return };
    loop_that_blocks_between_turns_is_reported(&agent.started());
}

#[test]
fn python_loop_that_stops_between_turns_ends_the_session() {
    let Some(agent) = Agent::python() else { return };
    let agent = agent.started();
    agent.say("tool stop later").ok();
    eventually("the session has ended", || agent.status().json()["state"] == "ended");
    agent.say("hello").code(3).told("event loop has ended").told("start a new session; the agent's log is /");
}

#[test]
fn python_faults_that_a_session_survives() {
    let Some(agent) = Agent::python() else { return };
    let agent = agent.started();

    // A lone surrogate is shown as U+FFFD, and takes nothing with it.
    let turn = agent.turn("tool surrogate");
    assert_eq!(calls(events(&turn))[0]["output"], "ok \u{fffd}", "{turn}");
    assert_eq!(turn["reply"], "The tool said: ok \u{fffd}");
    assert!(agent.history().iter().any(|item| item["output"] == "ok \u{fffd}"));

    // What is no Exception fails in every event that tells of it.
    for (text, words) in [
        ("tool keyboard interrupt", "ctrl-c in a tool"),
        ("tool base exception", "stop everything"),
        ("tool exception group", "two lookups failed (2 sub-exceptions)"),
    ] {
        let turn = agent.turn(text);
        let call = calls(events(&turn))[0];
        assert_eq!(call["is_error"], true, "{turn}");
        assert!(call.to_string().contains(words), "{call}");
    }
    assert!(calls(&agent.history()).iter().skip(1).all(|call| call["is_error"] == true));

    // Two tools in one batch: in the order in which they were called, with both times.
    let turn = agent.turn("two tools");
    let [slow, fast] = calls(events(&turn))[..] else { panic!("two calls: {turn}") };
    assert_eq!((&slow["name"], &fast["name"]), (&"slow_tool".into(), &"fast_tool".into()));
    assert!(slow["output_at"].as_str() > fast["output_at"].as_str(), "{turn}");
    let history = agent.history();
    let names: Vec<&Value> = calls(&history).iter().rev().take(2).map(|call| &call["name"]).collect();
    assert_eq!(names, ["fast_tool", "slow_tool"]);

    // What stands in for a room is named.
    agent.say("tool read metadata").ok().printed("not MagicMock").printed("--participant-metadata");
    agent.run(&["end"]).ok();
}

#[test]
fn node_faults_that_a_session_survives() {
    let Some(agent) = Agent::node() else { return };
    let agent = agent.started();
    let turn = agent.turn("tool surrogate");
    assert!(turn["reply"].as_str().unwrap().contains("ok"), "{turn}");
    // To the SDK it is a tool that gave back nothing.
    assert!(agent.turn("tool throw undefined")["error"].is_null());
    // The SDK drops what it cannot encode: no event says that the tool is done, and so does nothing else.
    let turn = agent.turn("tool bigint");
    assert_eq!(calls(events(&turn))[0]["output"], Value::Null, "{turn}");
    agent.say("tool bigint").ok().printed("… no output");
    assert!(!agent.run(&["history"]).ok().stdout.contains("bigint()\n    ✓"));
    let turn = agent.turn("two tools");
    let names: Vec<&Value> = calls(events(&turn)).iter().map(|call| &call["name"]).collect();
    let history = agent.history();
    let calls = calls(&history);
    let told: Vec<&Value> = calls.iter().skip(calls.len() - 2).map(|call| &call["name"]).collect();
    assert_eq!(names, told, "one order");
    // Why it failed is in the SDK's log alone.
    agent.say("tool read metadata").ok();
    agent.run(&["end"]).ok();
}

#[test]
fn reply_of_20_mb_leaves_the_rest_of_the_history() {
    for agent in [Agent::python(), Agent::node()].into_iter().flatten() {
        let agent = agent.started();
        agent.say("first").ok();
        let turn = agent.turn("big 20000000");
        assert!(turn["reply"].as_str().unwrap().starts_with("xxx"), "{}", turn["error"]);
        agent.say("last").ok();
        let history = agent.history();
        let texts: Vec<&str> = history.iter().filter_map(|item| item["text"].as_str()).collect();
        for text in ["first", "echo: first", "big 20000000", "last", "echo: last"] {
            assert!(texts.contains(&text), "{text}: {texts:.100?}");
        }
        let big = history.iter().find(|item| item["cut_bytes"].is_u64()).expect("the big one is flagged");
        assert!(big["cut_bytes"].as_u64().unwrap() > 19_900_000);
        agent.run(&["end"]).ok();
    }
}

#[test]
fn python_stand_in_has_what_was_given() {
    let Some(agent) = Agent::python() else { return };
    let agent = agent.started_with(&[
        "--participant-name",
        "Ada",
        "--participant-metadata",
        "{\"tier\": \"gold\"}",
        "--participant-attribute",
        "sip.phoneNumber=+15550100",
        "--room-name",
        "lobby",
        "--job-metadata",
        "from the dispatch",
    ]);
    agent.say("tool read metadata").ok().printed("gold");
    let known = "mock_user|Ada|{\"tier\": \"gold\"}|{'sip.phoneNumber': '+15550100'}|lobby|from the dispatch";
    agent.say("tool read participant").ok().printed(known);
    agent.run(&["end"]).ok();
}

#[test]
fn python_stand_in_that_the_sdk_does_not_take_ends_the_start() {
    let Some(agent) = Agent::python() else { return };
    agent.fails("other room", &["--participant-name", "Ada", "--room-name", "lobby"]).code(3).told(
        "this release of livekit-agents gives no way to set what was given for the participant and room",
    );
}

#[test]
fn node_stand_in_is_refused() {
    let Some(agent) = Agent::node() else { return };
    agent
        .fails("", &["--job-metadata", "x"])
        .code(2)
        .told("to agents in Python only")
        .told("greenroom attach");
}

#[test]
fn python_agent_is_run_by_a_module_of_the_interpreter() {
    let Some(agent) = Agent::python() else { return };
    let profile = agent.stage.path().join("profile");
    let given = ["--job-metadata", "from the dispatch", "--timeout", "90s", "--", "-m", "cProfile", "-o"];
    let agent = agent.started_with(&[&given[..], &[profile.to_str().unwrap(), "faulty.py"]].concat());
    agent.say("tool read participant").ok().printed("|from the dispatch");
    agent.say("tool surrogate").ok().printed("ok \u{fffd}");
    agent.run(&["end"]).ok();
    assert!(std::fs::metadata(profile).unwrap().len() > 0, "the module has ended well");
}

#[test]
fn python_module_that_does_not_run_the_file_is_named() {
    let Some(agent) = Agent::python() else { return };
    let more = ["--timeout", "60s", "--", "-m", "compileall", "-q"];
    agent.fails("", &more).code(2).told("ends without a call of `cli.run_app(…)`").told("-m compileall");
    let more = ["--timeout", "60s", "--", "-m", "no_such_module"];
    agent.fails("", &more).code(3).told("No module named no_such_module");
}

/// A start that fails does so at once, and says why.
#[track_caller]
fn start_fails(agent: &Agent, how: &str, words: &[&str]) {
    let begun = Instant::now();
    let mut outcome = agent.fails(how, &[]).code(3);
    for part in words {
        outcome = outcome.told(part);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{how}: {:?}", begun.elapsed());
}

#[test]
fn python_start_that_ends_early_says_why_at_once() {
    let Some(agent) = Agent::python() else { return };
    start_fails(&agent, "return", &["returned without starting a session"]);
    start_fails(&agent, "shutdown", &["was shut down before it connected", "nothing to do"]);
    start_fails(&agent, "exit", &["crashed before it connected: SystemExit: the entrypoint exits"]);
    start_fails(&agent, "os exit", &["exit status: 7", "said nothing of why"]);
}

#[test]
fn python_start_that_raises_is_named_by_its_exception() {
    let Some(agent) = Agent::python() else { return };
    start_fails(&agent, "group", &[": ExceptionGroup: two lookups failed (2 sub-exceptions)"]);
    start_fails(&agent, "interrupt", &[": KeyboardInterrupt: ctrl-c at start"]);
    start_fails(&agent, "metadata", &["not MagicMock", "--participant-metadata"]);
    start_fails(&agent, "exit at import", &[": no configuration"]);
}

#[test]
fn node_start_that_ends_early_says_why_at_once() {
    let Some(agent) = Agent::node() else { return };
    start_fails(&agent, "return", &["returned without starting a session"]);
    start_fails(&agent, "return busy", &["returned without starting a session"]);
    start_fails(&agent, "shutdown", &["was shut down before it connected", "nothing to do"]);
    start_fails(&agent, "shutdown without a reason", &["was shut down before it connected: its"]);
    start_fails(&agent, "exit", &["exit status: 7", "said nothing of why"]);
    start_fails(&agent, "rejection", &[": RangeError: nothing waits for this"]);
    start_fails(&agent, "metadata", &[": room is not connected", "ctx.isFakeJob"]);
    start_fails(&agent, "undefined", &["undefined"]);
}

#[test]
fn node_entrypoint_that_returns_before_its_session_starts_is_waited_for() {
    let Some(agent) = Agent::node() else { return };
    agent.fails("start later", &[]).ok();
    agent.say("hello").ok().printed("echo: hello");
    agent.run(&["end"]).ok();
}

#[test]
fn node_preparation_is_not_seen_by_the_agent() {
    let Some(agent) = Agent::node() else { return };
    let agent = agent.started();
    agent.say("tool read process").ok().printed("execArgv [], variables []");
    agent.run(&["end"]).ok();
}

#[test]
fn start_deadline_holds_for_an_agent_that_never_connects() {
    let Some(agent) = Agent::python() else { return };
    let begun = Instant::now();
    agent.fails("hang", &["--timeout", "15s"]).code(3).told("did not connect within 15s");
    let took = begun.elapsed();
    // The SDK's process does not end by itself: nothing of its ten seconds of grace is added.
    assert!(took < Duration::from_secs(20), "{took:?}");
}
