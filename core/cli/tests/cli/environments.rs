//! Python projects whose SDK is where their tools keep it, through the command, with the real SDK and the real uv.
//!
//! `GREENROOM_TEST_PYTHON` is an interpreter with livekit-agents, `GREENROOM_TEST_UV` a uv. Without them there is nothing
//! to test here, which on CI (`CI` is set) is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::layouts::test_python;
use crate::stage::{Outcome, Stage, finish_within};

const PATIENCE: Duration = Duration::from_secs(180);

const AGENT: &str = "\
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
import sys
print(f'{sys.prefix=}')
async def entrypoint(ctx: JobContext):
    await AgentSession().start(agent=Agent(instructions='x'), room=ctx.room)
server = AgentServer()
server.rtc_session()(entrypoint)
if __name__ == '__main__':
    cli.run_app(server)
";

/// Makes a wheel `livekit-agents` that leads to the SDK of the environment that makes it, so that installing it takes no
/// network, and prints the interpreter below that environment.
const MAKE_WHEEL: &str = "\
import importlib.metadata, pathlib, sys, sysconfig, zipfile
version = importlib.metadata.version('livekit-agents')
info = f'livekit_agents-{version}.dist-info'
files = {
    'greenroom_suites.pth': sysconfig.get_path('purelib') + '\\n',
    f'{info}/METADATA': f'Metadata-Version: 2.1\\nName: livekit-agents\\nVersion: {version}\\n',
    f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
}
files[f'{info}/RECORD'] = ''.join(f'{name},,\\n' for name in [*files, f'{info}/RECORD'])
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
with zipfile.ZipFile(folder / f'livekit_agents-{version}-py3-none-any.whl', 'w') as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
print(sys._base_executable)
";

/// A project of uv that can install the SDK.
struct UvProject {
    stage: Stage,
    uv: PathBuf,
    python: String,
    wheel: PathBuf,
}

impl UvProject {
    fn new() -> Option<Self> {
        let uv = std::env::var_os("GREENROOM_TEST_UV");
        assert!(uv.is_some() || std::env::var_os("CI").is_none(), "GREENROOM_TEST_UV has to be set on CI");
        let uv = std::path::absolute(uv?).unwrap();
        let stage = Stage::new();
        let wheels = stage.path().join("wheels");
        let made = Command::new(test_python()?).args(["-c", MAKE_WHEEL]).arg(&wheels).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let python = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let wheel = std::fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
        Some(Self { stage, uv, python, wheel })
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.stage.path().join(name), text).unwrap();
    }

    /// The table that has uv take the SDK from the wheel.
    fn source(&self) -> String {
        format!("[tool.uv.sources]\nlivekit-agents = {{ path = '{}' }}\n", self.wheel.display())
    }

    fn start(&self, more: &[&str]) -> Outcome {
        let mut args = vec!["start", "agent.py", "--timeout", "120s"];
        args.extend(more);
        let mut command = self.stage.command(&args);
        command.env("PATH", path_with(self.uv.parent().unwrap()));
        command.envs([("UV_OFFLINE", "1"), ("UV_PYTHON", &self.python), ("UV_PYTHON_DOWNLOADS", "never")]);
        command.env("UV_CACHE_DIR", self.stage.path().join("uv-cache"));
        finish_within(command.spawn().unwrap(), PATIENCE)
    }

    /// The environment in which the agent of the default session runs.
    fn prefix(&self) -> String {
        let status = self.stage.json(&["status", "--json"]);
        let log = std::fs::read_to_string(status["log_path"].as_str().unwrap()).unwrap();
        let line = log.lines().find_map(|line| line.strip_prefix("sys.prefix=")).unwrap();
        line.trim_matches('\'').to_owned()
    }
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    let known = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&known))).unwrap()
}

#[test]
fn sdk_in_an_extra_of_uv_starts() {
    let Some(project) = UvProject::new() else { return };
    project.write("agent.py", AGENT);
    project.write(
        "pyproject.toml",
        &format!(
            "[project]\nname = 'shop'\nversion = '1'\nrequires-python = '>=3.10'\n\
             [project.optional-dependencies]\nvoice = ['livekit-agents']\n{}",
            project.source()
        ),
    );
    let told = project.start(&["--no-sync"]).code(2);
    let told = told.told("livekit-agents is not installed in this uv project");
    told.told("run `uv sync --inexact --extra voice` in");
    project.start(&[]).ok().told("is ready");
    assert!(project.prefix().ends_with("/.venv"), "{}", project.prefix());
}

#[test]
fn sdk_in_a_group_of_uv_starts() {
    let Some(project) = UvProject::new() else { return };
    project.write("agent.py", AGENT);
    project.write(
        "pyproject.toml",
        &format!(
            "[project]\nname = 'shop'\nversion = '1'\nrequires-python = '>=3.10'\n\
             [dependency-groups]\nagent = ['livekit-agents']\n{}",
            project.source()
        ),
    );
    project.start(&[]).ok().told("is ready");
}

#[test]
fn script_that_carries_its_requirements_starts() {
    let Some(project) = UvProject::new() else { return };
    let source: String = project.source().lines().map(|line| format!("# {line}\n")).collect();
    let header = "# /// script\n# requires-python = '>=3.10'\n# dependencies = ['livekit-agents']\n";
    project.write("agent.py", &format!("{header}{source}# ///\n{AGENT}"));
    project.start(&[]).ok().told("is ready");
    assert!(project.prefix().contains("/environments-v"), "{}", project.prefix());
}

/// A tool on PATH that keeps an environment elsewhere, as Poetry 2.5 answers.
#[test]
fn environment_that_poetry_keeps_elsewhere_starts() {
    let Some(python) = test_python() else { return };
    let stage = Stage::new();
    std::fs::write(stage.path().join("agent.py"), AGENT).unwrap();
    std::fs::write(stage.path().join("poetry.lock"), "").unwrap();
    let bin = stage.path().join("bin");
    let env = python.ancestors().nth(2).unwrap().display();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n'env info --path') echo {env} ;;\n'run python '*) shift 2\n\
         VIRTUAL_ENV={env} exec {env}/bin/python \"$@\" ;;\n*) exit 1 ;;\nesac\n"
    );
    // Another process writes it: a file that this one has open when a test beside it forks cannot be executed.
    let mut writer = Command::new("/bin/sh");
    writer.args(["-c", "mkdir \"$0\" && printf %s \"$1\" > \"$0/poetry\" && chmod 755 \"$0/poetry\""]);
    assert!(writer.arg(&bin).arg(&script).status().unwrap().success());
    let mut command = stage.command(&["start", "agent.py", "--timeout", "120s"]);
    command.env("PATH", path_with(&bin));
    finish_within(command.spawn().unwrap(), PATIENCE).ok().told("is ready");
}
