//! What a JavaScript runtime answers about itself and about the SDK that the agent's file would
//! get.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::script::{is_observer, is_runner, node_options};
use crate::launch::probe::{Answer, Deadline, ask};
use crate::launch::project::Project;
use crate::launch::{AgentSpec, Kind, LaunchError};

/// Runs in Node, in Bun, in Electron and in Deno, with a loader or without, as a script or as a
/// module. It resolves the SDK as the agent's file does, so that Yarn's PnP and `NODE_PATH` count,
/// and reads what it needs of it through the runtime's own files, which may lie in an archive.
const QUESTION: &str = "\
// @ts-nocheck
(async () => {
  const names = ['node:fs', 'node:path', 'node:module', 'node:process'];
  const modules = await Promise.all(names.map((name) => import(name)));
  const [fs, path, { createRequire }, process] = modules.map((module) => module.default ?? module);
  const { versions } = process;
  const engine = ['deno', 'bun', 'electron'].find((name) => versions[name]) ?? 'node';
  const options = [...(process.execArgv ?? []), process.env.NODE_OPTIONS ?? ''];
  const answer = { engine, version: versions[engine], node: versions.node, typescript: process.features?.typescript };
  answer.options = options.filter((option) => !option.includes('greenroom-node'));
  if (Symbol.for('ts-node.register.instance') in process) answer.options.push('ts-node');
  try {
    const entry = fs.realpathSync(process.env.GREENROOM_ENTRY);
    let folder = path.dirname(createRequire(entry).resolve(process.env.GREENROOM_SDK));
    for (;;) {
      const manifest = path.join(folder, 'package.json');
      const found = fs.existsSync(manifest) ? JSON.parse(fs.readFileSync(manifest, 'utf8')) : {};
      if (found.name === process.env.GREENROOM_SDK) {
        answer.sdk = found.version;
        answer.console = ['console.js', 'console.cjs'].some((name) => fs.existsSync(path.join(folder, 'dist', name)));
        break;
      }
      if (folder === path.dirname(folder)) break;
      folder = path.dirname(folder);
    }
  } catch {
    // It is not there, or cannot be loaded.
  }
  console.log('\\ngreenroom-node=' + JSON.stringify(answer));
})();
";

/// A kind of JavaScript runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Node,
    Bun,
    Deno,
    Electron,
}

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Bun => "Bun",
            Self::Deno => "Deno",
            Self::Electron => "Electron",
        }
    }
}

/// What a runtime answered.
#[derive(Debug, Deserialize)]
pub(super) struct Facts {
    /// None of a program that runs JavaScript, it seems, but says nothing of itself.
    pub(super) engine: Option<Engine>,
    pub(super) version: Option<String>,
    /// The version of Node that it is, or claims to be.
    pub(super) node: Option<String>,
    /// Whether it reads TypeScript by itself: Node's `process.features.typescript`.
    #[serde(default)]
    typescript: Option<serde_json::Value>,
    /// The options that it runs with.
    #[serde(default)]
    pub(super) options: Vec<String>,
    /// The version of the SDK that the agent's file gets.
    pub(super) sdk: Option<String>,
    /// Whether that SDK has what connects an agent to a console.
    #[serde(default)]
    pub(super) console: bool,
}

impl Facts {
    /// It says that it was built without TypeScript, or told to do without.
    pub(super) fn refuses_typescript(&self) -> bool {
        self.typescript == Some(serde_json::Value::Bool(false))
    }
}

/// A command that runs JavaScript files.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) program: PathBuf,
    /// The arguments before the file: the project's or the runtime's own.
    pub(super) args: Vec<String>,
    /// Variables that belong to it.
    pub(super) env: Vec<(String, String)>,
}

impl Candidate {
    /// Asks it. The person's own arguments for the interpreter go with the question, as they may be
    /// what finds the SDK.
    pub(super) async fn ask(
        &self,
        spec: &AgentSpec,
        project: &Project,
        deadline: Deadline,
    ) -> Result<Facts, LaunchError> {
        let own = if is_flags(&self.args) { self.args.as_slice() } else { &[] };
        let persons = if is_flags(&spec.args) { spec.args.as_slice() } else { &[] };
        let mut words: Vec<&str> = own.iter().chain(persons).map(String::as_str).collect();
        words.retain(|word| !is_observer(word));
        words.extend(["-e", QUESTION]);
        let answer = ask(self.command(spec, project, &words), deadline).await?;
        if let Some(facts) = facts(&answer) {
            return Ok(facts);
        }
        let version = ask(self.command(spec, project, &["--version"]), deadline).await?;
        if version.value("deno ").is_some() {
            let evaluated = ask(self.command(spec, project, &["eval", QUESTION]), deadline).await?;
            if let Some(facts) = facts(&evaluated) {
                return Ok(facts);
            }
        }
        // Some runners evaluate nothing. ts-node does, but not in a package of ES modules, and has
        // a version like Node's.
        let is_runner = version.success
            && (is_runner(&self.program)
                || (!answer.success
                    && ask(self.command(spec, project, &["-vv"]), deadline)
                        .await?
                        .value("ts-node v")
                        .is_some()));
        if (answer.success || is_runner) && version.success {
            let is_version = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
            let named = version.value("v").filter(is_version).map(str::to_owned);
            let node = named.clone().filter(|_| !is_runner);
            return Ok(Facts {
                engine: node.is_some().then_some(Engine::Node),
                version: named,
                node,
                typescript: None,
                options: Vec::new(),
                sdk: None,
                console: false,
            });
        }
        Err(self.unfit(&answer, &own.iter().chain(persons).cloned().collect::<Vec<_>>()))
    }

    fn command(&self, spec: &AgentSpec, project: &Project, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&project.root);
        command.envs(spec.env.iter().chain(&self.env).map(|(key, value)| (key, value)));
        // A debugger in the question would wait for its person, or take the port of the agent's.
        let options =
            self.env.iter().rev().find(|(name, _)| name == "NODE_OPTIONS").map(|(_, value)| value.into());
        let options = options.or_else(|| spec.var("NODE_OPTIONS")).unwrap_or_default();
        let words = node_options(&options.to_string_lossy());
        if words.iter().any(|word| is_observer(word)) {
            let kept = words.iter().filter(|word| !is_observer(word)).map(|word| format!("{word:?}"));
            command.env("NODE_OPTIONS", kept.collect::<Vec<_>>().join(" "));
        }
        command.env("GREENROOM_ENTRY", &project.file).env("GREENROOM_SDK", Kind::Node.sdk());
        // Electron is a browser without it.
        command.env("ELECTRON_RUN_AS_NODE", "1");
        command
    }

    /// The error of a command that cannot run JavaScript.
    fn unfit(&self, answer: &Answer, args: &[String]) -> LaunchError {
        let output = answer.text.trim();
        let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
        let says = |line: &&str| line.split([':', ' ']).next().is_some_and(|word| word.ends_with("Error"));
        let reason = lines().find(says).or_else(|| lines().next()).unwrap_or("it printed nothing");
        let program = self.program.display().to_string();
        let shown = std::iter::once(program).chain(args.iter().cloned()).collect::<Vec<_>>().join(" ");
        let fix = match missing_package(reason) {
            Some(package) => format!("run `npm i -D {package}`, or leave it out"),
            None if reason.starts_with("node: ") && reason.ends_with("not found") => {
                "make that file, or leave it out".to_owned()
            }
            None => "name another runtime: Node, Bun, Deno, tsx or ts-node".to_owned(),
        };
        LaunchError::InterpreterUnfit {
            what: format!("`{shown}` cannot run JavaScript ({reason})"),
            fix,
            output: Some(output.to_owned()),
        }
    }
}

/// The package of `Cannot find package 'tsx' imported from …`, or of `Cannot find module
/// 'ts-node/register'`.
fn missing_package(reason: &str) -> Option<&str> {
    let named =
        reason.split_once("Cannot find package '").or_else(|| reason.split_once("Cannot find module '"))?;
    let specifier = named.1.split('\'').next()?;
    let is_package = !specifier.starts_with(['.', '/', '#']);
    is_package.then(|| package_of(specifier))
}

/// The package of a specifier: `@scope/name` or `name`, without a path in it.
pub(super) fn package_of(specifier: &str) -> &str {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    let end = specifier.match_indices('/').nth(parts - 1).map_or(specifier.len(), |(at, _)| at);
    &specifier[..end]
}

/// Whether arguments are options of the runtime, and do not begin with a program or subcommand of it.
pub(super) fn is_flags(args: &[String]) -> bool {
    args.first().is_none_or(|first| first.starts_with('-'))
}

fn facts(answer: &Answer) -> Option<Facts> {
    serde_json::from_str(answer.value("greenroom-node=")?).ok()
}

/// The package's folder as Node finds it from a file: `node_modules` of the real file's folder,
/// then of each above.
pub(super) fn installed(package: &str, from: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(from).unwrap_or_else(|_| from.to_owned());
    let mut folders = real.ancestors().map(|folder| folder.join("node_modules").join(package));
    folders.find(|folder| folder.join("package.json").is_file())
}
