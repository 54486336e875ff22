//! Python agents as people lay them out, on the released SDK: what runs by `python FILE start` starts here.
//!
//! `GREENROOM_TEST_PYTHON` is an interpreter with livekit-agents. Without it there is nothing to test here, which on CI
//! (`CI` is set) is a failure.

use std::path::PathBuf;
use std::time::Duration;

use crate::stage::{Outcome, Stage, finish_within};

/// What importing the SDK on a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(180);

const IMPORTS: &str =
    "from livekit.agents import Agent, AgentServer, AgentSession, JobContext, WorkerOptions, cli\n";

const ENTRYPOINT: &str = "\
async def entrypoint(ctx: JobContext):
    await AgentSession().start(agent=Agent(instructions='x'), room=ctx.room)
";

const SERVER: &str = "server = AgentServer()\nserver.rtc_session()(entrypoint)\n";

const GUARD: &str = "if __name__ == '__main__':\n";

/// An agent whose file ends with these lines.
fn agent(end: &str) -> String {
    format!("{IMPORTS}{ENTRYPOINT}{end}")
}

/// An agent with a global server that is run under the guard.
fn usual(more: &str) -> String {
    format!("{IMPORTS}{more}{ENTRYPOINT}{SERVER}{GUARD}    cli.run_app(server)\n")
}

pub(crate) fn test_python() -> Option<PathBuf> {
    let python = std::env::var_os("GREENROOM_TEST_PYTHON");
    assert!(
        python.is_some() || std::env::var_os("CI").is_none(),
        "GREENROOM_TEST_PYTHON has to be set on CI"
    );
    python.map(|python| std::path::absolute(python).unwrap())
}

/// Runs `greenroom start FILE` in a folder with these files.
fn start(files: &[(&str, &str)], file: &str, env: &[(&str, &str)]) -> Option<(Stage, Outcome)> {
    let python = test_python()?;
    let stage = Stage::new();
    std::fs::remove_file(stage.path().join("agent.py")).unwrap();
    // The root of a project, so that the file's own folder is not its working folder.
    std::fs::write(stage.path().join("requirements.txt"), "").unwrap();
    for (name, text) in files {
        let path = stage.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut command =
        stage.command(&["start", file, "--timeout", "120s", "--python", python.to_str().unwrap()]);
    command.envs(env.iter().copied());
    let outcome = finish_within(command.spawn().unwrap(), PATIENCE);
    Some((stage, outcome))
}

fn starts(files: &[(&str, &str)], file: &str) {
    if let Some((_stage, outcome)) = start(files, file, &[]) {
        outcome.ok().told("is ready");
    }
}

fn fails(files: &[(&str, &str)], file: &str, code: i32, parts: &[&str]) {
    let Some((stage, mut outcome)) = start(files, file, &[]) else { return };
    let folder = stage.path().canonicalize().unwrap();
    outcome = outcome.code(code);
    for part in parts {
        outcome = outcome.told(&part.replace("FOLDER", folder.to_str().unwrap()));
    }
}

#[test]
fn worker_options_under_the_guard_start() {
    let end = format!("{GUARD}    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))\n");
    starts(&[("agent.py", &agent(&end))], "agent.py");
}

#[test]
fn run_app_without_a_guard_starts() {
    starts(&[("agent.py", &agent("cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))\n"))], "agent.py");
}

#[test]
fn server_made_in_main_starts() {
    let end = "def main():\n    server = AgentServer()\n    server.rtc_session()(entrypoint)\n    cli.run_app(server)\n";
    starts(&[("agent.py", &agent(&format!("{end}{GUARD}    main()\n")))], "agent.py");
}

#[test]
fn server_made_in_the_guard_starts() {
    let end = "    server = AgentServer()\n    server.rtc_session()(entrypoint)\n    cli.run_app(server)\n";
    starts(&[("agent.py", &agent(&format!("{GUARD}{end}")))], "agent.py");
}

#[test]
fn server_made_by_a_factory_in_another_file_starts() {
    let factory = format!(
        "{IMPORTS}def create(entrypoint):\n    server = AgentServer()\n    server.rtc_session()(entrypoint)\n    \
         return server\n"
    );
    let end = format!("{GUARD}    from factory import create\n    cli.run_app(create(entrypoint))\n");
    starts(&[("src/agent.py", &agent(&end)), ("src/factory.py", &factory)], "src/agent.py");
}

#[test]
fn run_app_called_in_another_file_starts() {
    let app = agent("def main():\n    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))\n");
    let file = format!("from app import main\n{GUARD}    main()\n");
    starts(&[("agent.py", &file), ("app.py", &app)], "agent.py");
}

#[test]
fn global_server_without_run_app_starts_and_leaves_its_guard_alone() {
    let end = format!("{SERVER}{GUARD}    raise RuntimeError('the guard was run')\n");
    starts(&[("agent.py", &agent(&end))], "agent.py");
}

#[test]
fn file_that_refuses_the_argument_console_starts_by_its_global_server() {
    let end = format!(
        "import argparse\n{SERVER}{GUARD}    argparse.ArgumentParser().parse_args()\n    cli.run_app(server)\n"
    );
    starts(&[("agent.py", &agent(&end))], "agent.py");
}

#[test]
fn package_whose_files_import_each_other_by_plain_names_starts() {
    let file = usual("from helpers import x\n");
    starts(
        &[("src/__init__.py", ""), ("src/helpers.py", "x = 1\n"), ("src/agent.py", &file)],
        "src/agent.py",
    );
}

#[test]
fn package_with_relative_imports_starts() {
    let file = usual("from .helpers import x\nfrom src.helpers import x\n");
    starts(
        &[("src/__init__.py", ""), ("src/helpers.py", "x = 1\n"), ("src/agent.py", &file)],
        "src/agent.py",
    );
}

#[test]
fn agent_beside_a_package_of_its_name_starts() {
    let file = usual("from agent.tools import x\n");
    starts(&[("agent/__init__.py", ""), ("agent/tools.py", "x = 1\n"), ("agent.py", &file)], "agent.py");
}

#[test]
fn file_with_dots_in_its_name_starts() {
    starts(&[("my.agent.py", &usual(""))], "my.agent.py");
    starts(&[("agent-v1.2.py", &agent(SERVER))], "agent-v1.2.py");
}

#[test]
fn modules_of_the_root_that_hide_others_do_not_concern_a_file_below() {
    starts(&[("livekit/__init__.py", ""), ("json.py", ""), ("src/agent.py", &usual(""))], "src/agent.py");
}

#[test]
fn folder_that_hides_the_sdk_is_named() {
    fails(
        &[("livekit/__init__.py", ""), ("agent.py", &usual(""))],
        "agent.py",
        3,
        &[
            "No module named 'livekit.agents'",
            "FOLDER/livekit/__init__.py hides the installed package livekit: rename it",
        ],
    );
}

#[test]
fn file_that_hides_a_module_of_python_is_named() {
    fails(
        &[("json.py", ""), ("agent.py", &usual(""))],
        "agent.py",
        3,
        &["AttributeError: module 'json' has no attribute", "FOLDER/json.py hides Python's own module json"],
    );
}

#[test]
fn variables_set_under_the_guard_are_there_for_the_agent() {
    let file = format!(
        "import os\n{IMPORTS}async def entrypoint(ctx: JobContext):\n    os.environ['SHOP_KEY']\n    \
         await AgentSession().start(agent=Agent(instructions=os.environ['FROM_FILE']), room=ctx.room)\n\
         {SERVER}{GUARD}    from dotenv import load_dotenv\n    load_dotenv()\n    os.environ['SHOP_KEY'] = 'x'\n    \
         cli.run_app(server)\n"
    );
    // As python-dotenv does it, which is not the SDK's: from the folder of the file that calls it.
    let dotenv = "import os, sys\n\
                  def load_dotenv():\n    folder = os.path.dirname(sys._getframe(1).f_code.co_filename)\n    \
                  name, value = open(os.path.join(folder, '.env')).read().strip().split('=')\n    \
                  os.environ[name] = value\n";
    starts(
        &[("src/agent.py", &file), ("src/dotenv.py", dotenv), ("src/.env", "FROM_FILE=y\n")],
        "src/agent.py",
    );
}

#[test]
fn variables_of_a_guard_that_is_not_run_are_explained() {
    let file = format!(
        "import asyncio, os\n{IMPORTS}async def entrypoint(ctx: JobContext):\n    os.environ['SHOP_KEY']\n{SERVER}{GUARD}    \
         os.environ['SHOP_KEY'] = 'x'\n    asyncio.run(server.run())\n"
    );
    fails(
        &[("agent.py", &file)],
        "agent.py",
        3,
        &["KeyError: 'SHOP_KEY'", "the code under its `__main__` guard was not run", "never calls run_app"],
    );
}

#[test]
fn url_without_keys_does_not_keep_an_agent_from_starting() {
    let file = usual("");
    let env = [("LIVEKIT_URL", "ws://127.0.0.1:1"), ("LIVEKIT_API_KEY", "only")];
    if let Some((_stage, outcome)) = start(&[("agent.py", &file)], "agent.py", &env) {
        outcome.ok().told("is ready");
    }
}

#[test]
fn file_that_runs_no_server_is_told_what_is_missing() {
    fails(
        &[("agent.py", "x = 1\n")],
        "agent.py",
        2,
        &["agent.py defines no agent", "server = AgentServer()", "cli.run_app("],
    );
    let file = agent(&format!(
        "import sys\n{GUARD}    if sys.argv[1] == 'start':\n        cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))\n"
    ));
    fails(
        &[("agent.py", &file)],
        "agent.py",
        2,
        &[
            "agent.py ends without a call of `cli.run_app(…)`",
            "python agent.py console",
            "server = AgentServer()",
        ],
    );
}

#[test]
fn server_of_text_endpoints_alone_is_named_at_once() {
    // What such a server is in livekit-agents 2.0.
    let file = format!(
        "{IMPORTS}class Text(AgentServer):\n    a2a_endpoints = {{'shop': object()}}\nserver = Text()\n\
         {GUARD}    cli.run_app(server)\n"
    );
    fails(
        &[("agent.py", &file)],
        "agent.py",
        2,
        &["text endpoints (a2a_session) only", "@server.rtc_session()"],
    );
}

#[test]
fn words_with_which_an_agent_ends_itself_are_the_headline() {
    let file = agent(&format!(
        "import sys\n{SERVER}{GUARD}    sys.exit('set SHOP_KEY first')\n    cli.run_app(server)\n"
    ));
    fails(&[("agent.py", &file)], "agent.py", 3, &["exit status: 1", "set SHOP_KEY first"]);
    let file = usual("raise ValueError('no shop')\n");
    fails(&[("agent.py", &file)], "agent.py", 3, &["ended before it connected", "ValueError: no shop"]);
}
