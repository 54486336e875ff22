//! The interpreter and SDK of a Python agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::declared::{Declared, declared, has_table, is_script};
use super::environment::{self, Environment};
use super::interpreter::{Runtime, named_interpreter, on_path, quoted};
use super::plan::Origin;
use super::probe::{Answer, Deadline, ask};
use super::project::Project;
use super::release::Release;
use super::tool::{Kept, Managed, Tool, only_option, requires_sdk};
use super::{AgentSpec, Kind, LaunchError};

/// The first release whose `console` connects out.
const FIRST_SDK: Release = Release::new(1, 6, 0);

/// Prints the SDK's version, or nothing after the sign, and facts about the interpreter and its environment. The keys
/// find the lines among what else is printed: uv's progress, or a greeting of somebody's sitecustomize.
///
/// The current folder, which `-c` puts first, leaves the module path: nothing of the project may hide a module. Of an SDK
/// that was not installed but is on the module path, the version is read from its source. Braces would be taken for
/// fields by `hatch run`.
const QUESTION: &str = "\
import sys
if not sys.path[0]: del sys.path[0]
import importlib.metadata, importlib.util, json, os, platform, re, sysconfig
try:
    sdk = importlib.metadata.version('livekit-agents') or ''
except importlib.metadata.PackageNotFoundError:
    sdk = ''
    try:
        source = importlib.util.find_spec('livekit.agents').origin
        sdk = 'unknown'
        with open(os.path.join(os.path.dirname(source), 'version.py')) as file:
            sdk = re.search('__version__ *= *.([^\\'\\x22]+)', file.read())[1]
    except Exception:
        pass
text = lambda pair: not any('\\ud800' <= c <= '\\udfff' for c in pair[0] + pair[1])
has = lambda name: str(int(importlib.util.find_spec(name) is not None))
managed = os.path.join(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED')
managed = sys.prefix == sys.base_prefix and os.path.exists(managed)
print('\\ngreenroom-python=' + platform.python_version() + '\\ngreenroom-sdk=' + sdk)
print('greenroom-pip=' + has('pip') + '\\ngreenroom-ensurepip=' + has('ensurepip'))
print('greenroom-managed=' + str(int(managed)))
print('greenroom-executable=' + sys.executable)
print('greenroom-environment=' + json.dumps(dict(filter(text, os.environ.items()))))
";

/// The order is what a person expects: what they named, then what the file or the project says (uv, its environment),
/// then what they have active, then what the project's tool keeps elsewhere, then the host's own, then the system's.
///
/// What is there and cannot be used is an error: what comes after it in the order would be another environment than the
/// person's.
pub(super) async fn find(
    spec: &AgentSpec,
    project: &Project,
    deadline: Deadline,
) -> Result<Runtime, LaunchError> {
    let mut chosen = choose(spec, project, deadline).await?;
    let mut answer = chosen.ask(spec, project, deadline).await?;
    if chosen.origin == Origin::Uv
        && spec.sync
        && answer.success
        && answer.value("greenroom-sdk=") == Some("")
        && let Some(place) = only_option(&declared(&project.root))
    {
        // `uv run` installs the project without its extras, and without groups that are no default.
        let option = place.option("--extra", "--group");
        chosen.args.splice(1..1, option.split_whitespace().map(str::to_owned));
        answer = chosen.ask(spec, project, deadline).await?;
    }
    let executable = answer.value("greenroom-executable=").filter(|path| !path.is_empty());
    if chosen.is_run_by_tool
        && answer.success
        && let Some(python) = executable
    {
        // What the tool chose is run without the tool between: it would be the leader in the agent's place, and uv since
        // 0.7.13 forwards an interrupt that the agent gets as well. A second one makes the SDK kill its whole group.
        let tool = quoted(&std::mem::replace(&mut chosen.program, python.into()));
        chosen.args.clear();
        let environment = answer.value("greenroom-environment=").and_then(|json| changed(spec, json));
        chosen.env = environment.ok_or_else(|| LaunchError::InterpreterUnfit {
            what: format!(
                "{python} did not tell its environment whole, so what {tool} sets in it is not known"
            ),
            fix: "make the environment smaller than 4 MiB, or name the interpreter with --python or python="
                .to_owned(),
            output: None,
        })?;
    }
    let sdk_version = chosen.check_sdk(&answer, spec, project)?;
    let version = answer.value("greenroom-python=").map(str::to_owned);
    let Chosen { program, args, origin, env, .. } = chosen;
    Ok(Runtime {
        program,
        args,
        origin,
        version,
        sdk_version,
        env,
        runner: None,
        has_loader: false,
        can_preload: false,
    })
}

/// The variables that a tool changed for what it runs: its environment's folders, what is in its env files. `None` if the answer was
/// cut off.
fn changed(spec: &AgentSpec, environment: &str) -> Option<Vec<(String, String)>> {
    /// A program's own, or Python's guess at a locale.
    const NOT_FROM_TOOL: &[&str] = &["_", "PWD", "OLDPWD", "SHLVL", "LC_CTYPE"];
    let variables: BTreeMap<String, String> = serde_json::from_str(environment).ok()?;
    let is_new = |(name, value): &(String, String)| {
        !NOT_FROM_TOOL.contains(&name.as_str())
            && spec.raw_var(name).is_none_or(|known| known != value.as_str())
    };
    Some(variables.into_iter().filter(is_new).collect())
}

struct Chosen {
    program: PathBuf,
    args: Vec<String>,
    origin: Origin,
    env: Vec<(String, String)>,
    /// The program is a tool, which runs Python by these arguments.
    is_run_by_tool: bool,
    /// A tool that keeps the project's environment and could not be asked, or has none. What was chosen is then only
    /// what is there besides.
    without_tool: Option<(Managed, Kept)>,
}

impl Chosen {
    fn python(program: PathBuf, origin: Origin) -> Self {
        Self { program, args: Vec::new(), origin, env: Vec::new(), is_run_by_tool: false, without_tool: None }
    }

    fn by_tool(program: PathBuf, args: &[&str], origin: Origin) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self { args, is_run_by_tool: true, ..Self::python(program, origin) }
    }

    async fn ask(
        &self,
        spec: &AgentSpec,
        project: &Project,
        deadline: Deadline,
    ) -> Result<Answer, LaunchError> {
        let mut question = Command::new(&self.program);
        question.args(&self.args).args(["-c", QUESTION]).current_dir(&project.root);
        question.envs(spec.env.iter().chain(&self.env).map(|(key, value)| (key, value)));
        ask(question, deadline).await
    }
}

async fn choose(spec: &AgentSpec, project: &Project, deadline: Deadline) -> Result<Chosen, LaunchError> {
    if let Some(named) = &spec.interpreter {
        return Ok(Chosen::python(named_interpreter(spec, named)?, Origin::Given));
    }
    let uv = on_path(spec, "uv");
    if let Some(uv) = uv {
        if is_script(&project.file) {
            return of_script(&uv, spec, project, deadline).await;
        }
        if is_uv_project(project) {
            let args: &[&str] = if spec.sync { &["run", "python"] } else { &["run", "--no-sync", "python"] };
            return Ok(Chosen::by_tool(uv, args, Origin::Uv));
        }
    }
    let managed = Managed::find(project);
    if let Some(python) = of_project(spec, project, managed.as_ref())? {
        return Ok(Chosen::python(python, Origin::ProjectEnv));
    }
    if let Some(python) = active(spec)? {
        return Ok(Chosen::python(python, Origin::ActiveEnv));
    }
    let mut without_tool = None;
    if let Some(managed) = managed {
        let origin = managed.tool.origin();
        match managed.environment(spec, project, deadline).await? {
            Kept::RunBy(tool, args) => return Ok(Chosen::by_tool(tool, args, origin)),
            Kept::Python(python, env) => return Ok(Chosen { env, ..Chosen::python(python, origin) }),
            Kept::Unusable(path, wrong) => {
                return Err(LaunchError::InterpreterUnfit {
                    what: format!("{}, and {} {wrong}", managed.describe(), path.display()),
                    fix: format!("make it anew with `{}`, or name an interpreter", managed.create(project)),
                    output: None,
                });
            }
            kept => without_tool = Some((managed, kept)),
        }
    }
    let host = spec.host_interpreter(Kind::Python).map(|python| (python, Origin::Host));
    let on_path = || on_path(spec, "python3").or_else(|| on_path(spec, "python"));
    if let Some((python, origin)) = host.or_else(|| Some((on_path()?, Origin::Path))) {
        return Ok(Chosen { without_tool, ..Chosen::python(python, origin) });
    }
    let fix = match &without_tool {
        Some((managed, kept)) => advice_for_tool(managed, kept, project),
        None => "there is no .venv in its project, no active environment, and neither python3 nor python on PATH; \
                 install Python 3.10 or newer, or name an interpreter"
            .to_owned(),
    };
    Err(LaunchError::InterpreterNotFound {
        what: format!("no Python was found for {}", project.file.display()),
        fix,
    })
}

/// The environment that uv keeps for a file that carries its requirements itself, as for `uv run FILE`.
async fn of_script(
    uv: &Path,
    spec: &AgentSpec,
    project: &Project,
    deadline: Deadline,
) -> Result<Chosen, LaunchError> {
    let entry = project.entry();
    let run = async |words: &[&str]| {
        let mut command = Command::new(uv);
        command.args(words).arg("--script").arg(&entry).current_dir(&project.root);
        command.envs(spec.env.iter().map(|(key, value)| (key, value)));
        ask(command, deadline).await
    };
    if spec.sync {
        let synced = run(&["sync"]).await?;
        if !synced.success {
            return Err(LaunchError::InterpreterUnfit {
                what: format!("`uv sync --script {}` failed ({})", quoted(&project.file), last_line(&synced)),
                fix: "run it to see why".to_owned(),
                output: Some(synced.text.trim().to_owned()),
            });
        }
    }
    let found = run(&["python", "find"]).await?;
    let python = found.text.lines().rev().map(|line| PathBuf::from(line.trim())).find(|path| path.is_file());
    let Some(python) = python.filter(|_| found.success) else {
        return Err(LaunchError::InterpreterUnfit {
            what: format!(
                "`uv python find --script {}` names no interpreter ({})",
                quoted(&project.file),
                last_line(&found)
            ),
            fix: "upgrade uv, or name an interpreter".to_owned(),
            output: Some(found.text.trim().to_owned()),
        });
    };
    let mut env = Vec::new();
    if let Some(bin) = python.parent()
        && let Some(folder) = bin.parent().filter(|folder| folder.join("pyvenv.cfg").is_file())
    {
        let path = spec.var("PATH").map(|path| format!(":{}", path.to_string_lossy())).unwrap_or_default();
        env.push(("PATH".to_owned(), format!("{}{path}", bin.display())));
        env.push(("VIRTUAL_ENV".to_owned(), folder.display().to_string()));
    }
    Ok(Chosen { env, ..Chosen::python(python, Origin::UvScript) })
}

/// The interpreter of the nearest environment in the project's folders.
fn of_project(
    spec: &AgentSpec,
    project: &Project,
    managed: Option<&Managed>,
) -> Result<Option<PathBuf>, LaunchError> {
    let envs =
        project.above.iter().flat_map(|folder| environment::NAMES.iter().map(|name| folder.join(name)));
    for env in envs {
        match Environment::at(&env) {
            Environment::Absent => {}
            Environment::Usable(python) => return Ok(Some(python)),
            Environment::Unusable(wrong, mend) => {
                let shown = quoted(&env);
                let fix = match (mend, managed) {
                    (Some(mend), _) => format!("run `{mend}`, or name an interpreter"),
                    (None, Some(managed)) => format!(
                        "make it anew with `rm -r {shown} && {}` in {}, or name an interpreter",
                        managed.create(project),
                        project.root.display()
                    ),
                    (None, None) => format!(
                        "make it anew with `rm -r {shown} && {}`, or name an interpreter",
                        new_environment(spec, project, &env, "python3")
                    ),
                };
                let what = format!("{} {wrong}", env.display());
                return Err(LaunchError::InterpreterUnfit { what, fix, output: None });
            }
        }
    }
    Ok(None)
}

/// The interpreter of the environment that is active: of `VIRTUAL_ENV`, or of a conda environment that has a name.
fn active(spec: &AgentSpec) -> Result<Option<PathBuf>, LaunchError> {
    if let Some(folder) = spec.var("VIRTUAL_ENV").map(PathBuf::from) {
        let wrong = match Environment::at(&folder) {
            Environment::Usable(python) => return Ok(Some(python)),
            Environment::Unusable(wrong, _) => wrong,
            Environment::Absent if folder.exists() => "is no environment".to_owned(),
            Environment::Absent => "is not there".to_owned(),
        };
        return Err(LaunchError::InterpreterUnfit {
            what: format!("the active environment {} (VIRTUAL_ENV) {wrong}", folder.display()),
            fix: "run `unset VIRTUAL_ENV`, or activate another".to_owned(),
            output: None,
        });
    }
    let is_base = spec.var("CONDA_DEFAULT_ENV").is_none_or(|name| name == "base");
    let of_conda = spec.var("CONDA_PREFIX").filter(|_| !is_base);
    Ok(match of_conda.map(|folder| Environment::at(Path::new(&folder))) {
        Some(Environment::Usable(python)) => Some(python),
        _ => None,
    })
}

/// What to do about an environment that a tool keeps, and that was not found.
fn advice_for_tool(managed: &Managed, kept: &Kept, project: &Project) -> String {
    let described = managed.describe();
    match kept {
        Kept::NoTool => format!(
            "{described}, and {} is not on PATH: run `{}` where it is, or name the environment's interpreter",
            managed.tool.program(),
            managed.run(project)
        ),
        _ => format!(
            "{described}, and has none yet: run `{}` in {}",
            managed.create(project),
            project.root.display()
        ),
    }
}

/// The commands that make an environment with what the project requires, or at least the SDK, in it.
fn new_environment(spec: &AgentSpec, project: &Project, env: &Path, python: &str) -> String {
    let shown = quoted(env);
    let requirement = requirement(project);
    if on_path(spec, "uv").is_some() {
        let python = quoted(&super::interpreter::env_python(env));
        format!("uv venv {shown} && uv pip install --python {python} {requirement}")
    } else {
        let pip = quoted(&super::interpreter::env_python(env));
        format!("{python} -m venv {shown} && {pip} -m pip install {requirement}")
    }
}

/// What is to be installed for the agent: the project's list, if it names the SDK.
fn requirement(project: &Project) -> String {
    let list = project.root.join("requirements.txt");
    if requires_sdk(&list) { format!("-r {}", quoted(&list)) } else { Kind::Python.sdk().to_owned() }
}

/// What an interpreter printed, without the answers to our question: the environment among them is
/// full of secrets.
fn said(answer: &Answer) -> Vec<&str> {
    let is_ours =
        |line: &str| line.trim_start().starts_with("greenroom-") || line.contains("greenroom-environment=");
    answer.text.lines().filter(|line| !is_ours(line)).collect()
}

fn last_line(answer: &Answer) -> &str {
    let last = said(answer).into_iter().rev().find(|line| !line.trim().is_empty());
    last.map_or("it printed nothing", str::trim)
}

impl Chosen {
    fn check_sdk(&self, answer: &Answer, spec: &AgentSpec, project: &Project) -> Result<String, LaunchError> {
        let sdk = Kind::Python.sdk();
        let Some(found) = answer.value("greenroom-sdk=").filter(|_| answer.success) else {
            return Err(self.no_answer(answer, project));
        };
        if found.is_empty() {
            let fix = self.install(answer, spec, project);
            return Err(LaunchError::SdkMissing { sdk, place: self.place(), fix });
        }
        // What cannot be compared is not refused: the SDK itself may say more than we can.
        if Release::parse(found).is_some_and(|found| found < FIRST_SDK) {
            return Err(LaunchError::SdkTooOld {
                sdk,
                found: found.to_owned(),
                needed: FIRST_SDK.to_string(),
                place: self.place(),
                fix: self.upgrade(answer, spec, project),
            });
        }
        Ok(found.to_owned())
    }

    fn no_answer(&self, answer: &Answer, project: &Project) -> LaunchError {
        let text = said(answer);
        let what = format!("{} cannot run Python code ({})", self.shown(), last_line(answer));
        let fix = if self.origin == Origin::Uv {
            format!("run `uv sync --inexact` in {} to see why", project.root.display())
        } else if self.is_run_by_tool {
            format!("run {} in {} to see why", self.shown(), project.root.display())
        } else {
            "name another interpreter, of Python 3.10 or newer".to_owned()
        };
        LaunchError::InterpreterUnfit { what, fix, output: Some(text.join("\n").trim().to_owned()) }
    }

    fn shown(&self) -> String {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        if self.args.is_empty() {
            self.program.display().to_string()
        } else {
            format!("`{name} {}`", self.args.join(" "))
        }
    }

    /// `for /p/.venv/bin/python (the project's environment)`.
    fn place(&self) -> String {
        let why = match self.origin {
            Origin::Given => "the interpreter that was named",
            Origin::Uv => return "in this uv project".to_owned(),
            Origin::UvScript => "the environment that uv keeps for this script",
            Origin::ProjectEnv => "the project's environment",
            Origin::ActiveEnv => "the active environment",
            Origin::Poetry => "the project's environment, which Poetry keeps",
            Origin::Pdm => "the project's environment, which PDM keeps",
            Origin::Pipenv => "the project's environment, which Pipenv keeps",
            Origin::Hatch => "the project's environment, which Hatch keeps",
            Origin::Conda => "the environment of the project's environment.yml",
            Origin::Host => "the interpreter of this process",
            Origin::Runner => "the project's runner",
            Origin::Path => "the first on PATH, since the project has no .venv and no environment is active",
        };
        format!("for {} ({why})", self.program.display())
    }

    fn install(&self, answer: &Answer, spec: &AgentSpec, project: &Project) -> String {
        let root = project.root.display();
        if let Some((managed, kept)) = &self.without_tool {
            return advice_for_tool(managed, kept, project);
        }
        match self.origin {
            Origin::Uv => return format!("run `{}` in {root}", uv_command(project)),
            Origin::UvScript => {
                return format!("run `uv add --script {} livekit-agents`", quoted(&project.file));
            }
            Origin::Given => {}
            _ if is_script(&project.file) => {
                return format!(
                    "the file carries its requirements itself, for uv: install uv (https://docs.astral.sh/uv), and \
                     start it again, or run `{}`",
                    self.pip(answer, spec, project, "", &requirement(project))
                );
            }
            _ if is_uv_project(project) => {
                return format!(
                    "install uv, which this project uses, and run `{}` in {root}",
                    uv_command(project)
                );
            }
            _ => {}
        }
        if let Some(managed) = self.keeper(project) {
            return format!("run `{}` in {root}", managed.install(project));
        }
        if is(answer, "greenroom-managed=", "1") && self.origin != Origin::Given {
            let no_venv = is(answer, "greenroom-ensurepip=", "0") && on_path(spec, "uv").is_none();
            let first = if no_venv { " (on Debian and Ubuntu after `apt install python3-venv`)" } else { "" };
            let python = quoted(&self.program);
            let commands = new_environment(spec, project, &project.root.join(".venv"), &python);
            return format!(
                "the system keeps that Python for itself, so make an environment for the project: run \
                 `{commands}`{first}"
            );
        }
        format!("run `{}`", self.pip(answer, spec, project, "", &requirement(project)))
    }

    fn upgrade(&self, answer: &Answer, spec: &AgentSpec, project: &Project) -> String {
        let root = project.root.display();
        let places = declared(&project.root);
        let option =
            |extra, group| only_option(&places).map(|place| place.option(extra, group)).unwrap_or_default();
        let required = format!("'livekit-agents>={FIRST_SDK}'");
        match self.origin {
            Origin::Uv => format!("run `uv add{} {required}` in {root}", option("--optional", "--group")),
            Origin::UvScript => format!("run `uv add --script {} {required}`", quoted(&project.file)),
            _ => match self.keeper(project) {
                Some(managed) => format!("run `{}` in {root}", managed.upgrade(project, &required)),
                None => format!("run `{}`", self.pip(answer, spec, project, " -U", "livekit-agents")),
            },
        }
    }

    /// The tool that keeps what was chosen, be it in the project's own folder.
    fn keeper(&self, project: &Project) -> Option<Managed> {
        match self.origin {
            Origin::Poetry | Origin::Pdm | Origin::Pipenv | Origin::Hatch | Origin::Conda => {
                Managed::find(project)
            }
            Origin::ProjectEnv => Managed::find(project).filter(|managed| managed.tool != Tool::Conda),
            _ => None,
        }
    }

    /// The command that installs into this interpreter's environment, by what there is to do so.
    fn pip(
        &self,
        answer: &Answer,
        spec: &AgentSpec,
        project: &Project,
        options: &str,
        requirement: &str,
    ) -> String {
        let python = quoted(&self.program);
        if is(answer, "greenroom-managed=", "1") && self.origin != Origin::Given {
            return new_environment(spec, project, &project.root.join(".venv"), &python);
        }
        if !is(answer, "greenroom-pip=", "0") {
            format!("{python} -m pip install{options} {requirement}")
        } else if on_path(spec, "uv").is_some() || is(answer, "greenroom-ensurepip=", "0") {
            format!("uv pip install --python {python}{options} {requirement}")
        } else {
            format!("{python} -m ensurepip && {python} -m pip install{options} {requirement}")
        }
    }
}

fn is(answer: &Answer, key: &str, value: &str) -> bool {
    answer.value(key) == Some(value)
}

/// A project of uv: it has a lock file, its own or that of the workspace around it, or a table of settings.
fn is_uv_project(project: &Project) -> bool {
    let text = std::fs::read_to_string(project.root.join("pyproject.toml")).unwrap_or_default();
    let has_settings = has_table(&text, "tool.uv", &["build-backend"]);
    project.above.iter().any(|folder| folder.join("uv.lock").is_file()) || has_settings
}

/// The command of uv that installs the SDK and takes nothing away: a plain `uv sync` removes extras.
fn uv_command(project: &Project) -> String {
    match declared(&project.root).as_slice() {
        [] => "uv add livekit-agents".to_owned(),
        [Declared::Main, ..] => "uv sync --inexact".to_owned(),
        [place] => format!("uv sync --inexact{}", place.option("--extra", "--group")),
        [first, others @ ..] => {
            // Which of them is meant cannot be told, and extras may conflict.
            let others: String = others
                .iter()
                .map(|place| format!("` or `{}", place.option("--extra", "--group").trim()))
                .collect();
            format!("uv sync --inexact{}{others}", first.option("--extra", "--group"))
        }
    }
}
