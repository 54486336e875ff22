//! The interpreter and SDK of a Python agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::interpreter::{Runtime, env_python, named_interpreter, on_path};
use super::plan::Origin;
use super::probe::{Answer, Deadline, ask};
use super::project::Project;
use super::release::Release;
use super::{AgentSpec, Kind, LaunchError};

/// The first release whose `console` connects out.
const FIRST_SDK: Release = Release::new(1, 6, 0);

/// Tells the SDK's version, or nothing after the sign, and where and in which environment it runs. The keys find the
/// lines among what else is printed: uv's progress, or a greeting of somebody's sitecustomize.
const QUESTION: &str = "\
import importlib.metadata, json, os, platform, sys
try:
    sdk = importlib.metadata.version('livekit-agents') or ''
except importlib.metadata.PackageNotFoundError:
    sdk = ''
text = lambda pair: not any('\\ud800' <= c <= '\\udfff' for c in pair[0] + pair[1])
print('\\ngreenroom-python=' + platform.python_version() + '\\ngreenroom-sdk=' + sdk)
print('greenroom-executable=' + sys.executable)
print('greenroom-environment=' + json.dumps(dict(filter(text, os.environ.items()))))
";

/// The order is what a person expects: what they named, then what the project says (uv, its environment), then what
/// they have active, then the host's own, then the system's.
pub(super) async fn find(
    spec: &AgentSpec,
    project: &Project,
    deadline: Deadline,
) -> Result<Runtime, LaunchError> {
    let chosen = choose(spec, project)?;
    let mut question = Command::new(&chosen.program);
    question.args(&chosen.args).args(["-c", QUESTION]).current_dir(&project.root);
    question.envs(spec.env.iter().map(|(key, value)| (key, value)));
    let answer = ask(question, deadline).await?;
    let sdk_version = chosen.check_sdk(&answer, project)?;
    let version = answer.value("greenroom-python=").map(str::to_owned);
    let Chosen { program, args, origin } = chosen;
    let mut runtime = Runtime {
        program,
        args,
        origin,
        version,
        sdk_version,
        env: Vec::new(),
        runner: None,
        has_loader: false,
    };
    if origin == Origin::Uv
        && let Some(python) = answer.value("greenroom-executable=").filter(|path| !path.is_empty())
    {
        // What uv chose is run without uv between: it would be the leader in the agent's place, and since 0.7.13 it
        // forwards an interrupt that the agent gets as well. A second one makes the SDK kill its whole group.
        runtime.program = python.into();
        runtime.args.clear();
        runtime.env = changed(spec, answer.value("greenroom-environment=").unwrap_or("{}"));
    }
    Ok(runtime)
}

/// The variables that uv changed for what it runs: its environment's folders, what is in its env files.
fn changed(spec: &AgentSpec, environment: &str) -> Vec<(String, String)> {
    /// A program's own, or Python's guess at a locale.
    const NOT_FROM_UV: &[&str] = &["_", "PWD", "OLDPWD", "SHLVL", "LC_CTYPE"];
    let variables: BTreeMap<String, String> = serde_json::from_str(environment).unwrap_or_default();
    let is_new = |(name, value): &(String, String)| {
        !NOT_FROM_UV.contains(&name.as_str())
            && spec.raw_var(name).is_none_or(|known| known != value.as_str())
    };
    variables.into_iter().filter(is_new).collect()
}

struct Chosen {
    program: PathBuf,
    args: Vec<String>,
    origin: Origin,
}

fn choose(spec: &AgentSpec, project: &Project) -> Result<Chosen, LaunchError> {
    let plain = |program, origin| Ok(Chosen { program, args: Vec::new(), origin });
    if let Some(named) = &spec.interpreter {
        return plain(named_interpreter(spec, named)?, Origin::Given);
    }
    if is_uv_project(project)
        && let Some(uv) = on_path(spec, "uv")
    {
        let mut args = vec!["run".to_owned()];
        if !spec.sync {
            args.push("--no-sync".to_owned());
        }
        args.push("python".to_owned());
        return Ok(Chosen { program: uv, args, origin: Origin::Uv });
    }
    let of_project = project.above.iter().flat_map(|folder| [folder.join(".venv"), folder.join("venv")]);
    if let Some(python) = of_project.map(|env| env_python(&env)).find(|python| python.is_file()) {
        return plain(python, Origin::ProjectEnv);
    }
    let active = spec.var("VIRTUAL_ENV").map(|env| env_python(Path::new(&env)));
    if let Some(python) = active.filter(|python| python.is_file()) {
        return plain(python, Origin::ActiveEnv);
    }
    if let Some(host) = spec.host_interpreter(Kind::Python) {
        return plain(host, Origin::Host);
    }
    if let Some(python) = on_path(spec, "python3").or_else(|| on_path(spec, "python")) {
        return plain(python, Origin::Path);
    }
    Err(LaunchError::InterpreterNotFound {
        what: format!("no Python was found for {}", project.file.display()),
        fix: "there is no .venv in its project, no active environment, and neither python3 nor python on PATH; \
              install Python 3.10 or newer, or name an interpreter"
            .to_owned(),
    })
}

impl Chosen {
    fn check_sdk(&self, answer: &Answer, project: &Project) -> Result<String, LaunchError> {
        let sdk = Kind::Python.sdk();
        let Some(found) = answer.value("greenroom-sdk=").filter(|_| answer.success) else {
            return Err(self.no_answer(answer, project));
        };
        if found.is_empty() {
            return Err(LaunchError::SdkMissing { sdk, place: self.place(), fix: self.install(project) });
        }
        // What cannot be compared is not refused: the SDK itself may say more than we can.
        if Release::parse(found).is_some_and(|found| found < FIRST_SDK) {
            return Err(LaunchError::SdkTooOld {
                sdk,
                found: found.to_owned(),
                needed: FIRST_SDK.to_string(),
                place: self.place(),
                fix: self.upgrade(project),
            });
        }
        Ok(found.to_owned())
    }

    fn no_answer(&self, answer: &Answer, project: &Project) -> LaunchError {
        // The environment, which our question has it print, is full of secrets.
        let is_ours = |line: &str| {
            line.trim_start().starts_with("greenroom-") || line.contains("greenroom-environment=")
        };
        let text: Vec<&str> = answer.text.lines().filter(|line| !is_ours(line)).collect();
        let last =
            text.iter().rev().find(|line| !line.trim().is_empty()).copied().unwrap_or("it printed nothing");
        let what = format!("{} cannot run Python code ({})", self.shown(), last.trim());
        let fix = match self.origin {
            Origin::Uv => format!("run `uv sync` in {} to see why", project.root.display()),
            _ => "name another interpreter, of Python 3.10 or newer".to_owned(),
        };
        LaunchError::InterpreterUnfit { what, fix, output: Some(text.join("\n").trim().to_owned()) }
    }

    fn shown(&self) -> String {
        match self.origin {
            Origin::Uv => format!("`uv {}`", self.args.join(" ")),
            _ => self.program.display().to_string(),
        }
    }

    /// `for /p/.venv/bin/python (the project's environment)`.
    fn place(&self) -> String {
        let why = match self.origin {
            Origin::Given => "the interpreter that was named",
            Origin::Uv => return "in this uv project".to_owned(),
            Origin::ProjectEnv => "the project's environment",
            Origin::ActiveEnv => "the active environment",
            Origin::Host => "the interpreter of this process",
            Origin::Runner => "the project's runner",
            Origin::Path => "the first on PATH, since the project has no .venv and no environment is active",
        };
        format!("for {} ({why})", self.program.display())
    }

    fn install(&self, project: &Project) -> String {
        match self.origin {
            Origin::Uv if declares_sdk(project) => format!("run `uv sync` in {}", project.root.display()),
            Origin::Uv => format!("run `uv add livekit-agents` in {}", project.root.display()),
            _ if is_uv_project(project) => {
                format!(
                    "install uv, which this project uses, and run `uv sync` in {}",
                    project.root.display()
                )
            }
            _ => format!("run `{} -m pip install livekit-agents`", self.program.display()),
        }
    }

    fn upgrade(&self, project: &Project) -> String {
        match self.origin {
            Origin::Uv => format!("run `uv add 'livekit-agents>={FIRST_SDK}'` in {}", project.root.display()),
            _ => format!("run `{} -m pip install -U livekit-agents`", self.program.display()),
        }
    }
}

/// A project of uv: it has a lock file, its own or that of the workspace around it, or a table of settings.
fn is_uv_project(project: &Project) -> bool {
    let has_settings = || pyproject(project).lines().any(|line| line.trim_start().starts_with("[tool.uv"));
    project.above.iter().any(|folder| folder.join("uv.lock").is_file()) || has_settings()
}

fn declares_sdk(project: &Project) -> bool {
    pyproject(project).contains(Kind::Python.sdk())
}

fn pyproject(project: &Project) -> String {
    std::fs::read_to_string(project.root.join("pyproject.toml")).unwrap_or_default()
}
