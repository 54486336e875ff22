//! The runtime and SDK of a JavaScript or TypeScript agent.
//!
//! How the project says that it is run is how it is run: by a script of `package.json`, a task of
//! `deno.json`, or a runner among its dependencies. Whether the SDK is there is asked of the
//! runtime, not of the folders around the file.

mod failure;
mod manifest;
mod options;
mod question;
mod script;

use std::fs;
use std::path::{Path, PathBuf};

use self::manifest::{Manifest, Said};
use self::options::{Loader, STRIP_FLAG, deno_flags, loader, loader_name, ts_node_flags, tsx_flags};
use self::question::{Candidate, Engine, Facts, installed, is_flags};
use self::script::{Runner, node_options};
use super::interpreter::{Runtime, named_interpreter, on_path};
use super::plan::Origin;
use super::probe::Deadline;
use super::project::Project;
use super::release::Release;
use super::{AgentSpec, Kind, LaunchError};

pub(super) use self::failure::way_out;

/// The first release whose `console` connects out.
const FIRST_SDK: Release = Release::new(1, 4, 7);

/// The first Node that runs TypeScript, by taking the types out, with a flag.
const FIRST_TO_STRIP: Release = Release::new(22, 6, 0);

/// The oldest Node that is supported. It knows `--import`.
const FIRST_TO_IMPORT: Release = Release::new(20, 0, 0);

pub(super) async fn find(
    spec: &AgentSpec,
    project: &Project,
    deadline: Deadline,
) -> Result<Runtime, LaunchError> {
    let agent = Agent { spec, project, manifests: manifest::manifests(&project.above) };
    let choice = agent.choose()?;
    let facts = choice.candidate.ask(spec, project, deadline).await?;
    agent.fit(choice, &facts)
}

/// Finds the agent's file; without a name, also where the project's own scripts say that it is.
pub(super) fn find_project(spec: &AgentSpec) -> Result<Project, LaunchError> {
    let error = match Project::find(spec) {
        Ok(project) => return Ok(project),
        Err(error) => error,
    };
    match &error {
        LaunchError::NoDefaultEntry { dir, .. } => {
            let manifests = manifest::manifests(std::slice::from_ref(dir));
            let said: Vec<Said> = manifests.iter().flat_map(Manifest::said).collect();
            let named = |said: &Said| AgentSpec { entry: Some(said.runner.file.clone()), ..spec.clone() };
            if let Some(project) = said.iter().find_map(|said| Project::find(&named(said)).ok()) {
                return Ok(project);
            }
            let unbuilt = said
                .iter()
                .find_map(|said| not_built(&said.folder.join(&said.runner.file), Some(&said.by), &manifests));
            Err(unbuilt.unwrap_or(error))
        }
        LaunchError::NoSuchFile { path } => {
            let folders: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
            let manifests = manifest::manifests(&folders);
            Err(not_built(path, None, &manifests).unwrap_or(error))
        }
        _ => Err(error),
    }
}

/// The error of a file that the project's build makes, if that is what it is.
fn not_built(path: &Path, said_by: Option<&str>, manifests: &[Manifest]) -> Option<LaunchError> {
    let is_built = path.extension().is_some_and(|extension| extension.to_string_lossy().ends_with("js"));
    let manifest = manifests.iter().find(|manifest| !manifest.is_deno())?;
    let build = manifest.build_script().filter(|_| is_built && !path.exists())?;
    let said = said_by.map_or(String::new(), |by| format!(", which {by} runs,"));
    let folders: Vec<PathBuf> = manifest.folder.ancestors().map(Path::to_owned).collect();
    let manager = manifest::package_manager(&folders, manifests);
    Some(LaunchError::NotBuilt {
        what: format!("{}{said} does not exist", path.display()),
        fix: format!(
            "if the project's build makes it, run `{}` in {}",
            manifest::run_command(manager, build),
            manifest.folder.display()
        ),
    })
}

/// How to run what is compiled, where the project compiles: `build it (…) and name dist/main.js`.
fn built(manifests: &[Manifest], manager: &str) -> Option<String> {
    let manifest = manifests.iter().find(|manifest| !manifest.is_deno())?;
    let build = manifest::run_command(manager, manifest.build_script()?);
    let compiled = manifest.said().into_iter().map(|said| said.runner.file).find(|file| !is_typescript(file));
    let name = compiled.map_or("the .js".to_owned(), |file| file.display().to_string());
    Some(format!("compile it (`{build}`) and name {name}"))
}

/// What is going to be run, before it was asked.
struct Choice {
    candidate: Candidate,
    origin: Origin,
    /// Why this one: `script "dev" of package.json`.
    said_by: Option<String>,
    /// What is said to run it, but is not there.
    missing: Option<String>,
}

struct Agent<'a> {
    spec: &'a AgentSpec,
    project: &'a Project,
    manifests: Vec<Manifest>,
}

impl Agent<'_> {
    /// The order is what a person expects: what they named, a loader that they gave, what the
    /// project says, then Node.
    fn choose(&self) -> Result<Choice, LaunchError> {
        if let Some(named) = &self.spec.interpreter {
            if let Some(choice) = self.named_loader(named)? {
                return Ok(choice);
            }
            return self.plain(None);
        }
        if loader(&self.given_options()) == Some(Loader::Known) {
            return self.plain(None);
        }
        let Some(said) = self.said() else { return self.plain(None) };
        match self.resolve(&said)? {
            Some(choice) => Ok(choice),
            None => self.without(&said),
        }
    }

    /// The interpreter that was named: a path, or a name on PATH, or one of the project's own
    /// programs.
    fn named(&self, named: &Path) -> Result<PathBuf, LaunchError> {
        let error = match named_interpreter(self.spec, named) {
            Ok(program) => return Ok(program),
            Err(error) => error,
        };
        let name = named.to_string_lossy();
        if let Some(program) = self.program(&name, &self.project.root) {
            return Ok(program);
        }
        if named.components().count() > 1 && !name.contains(' ') {
            return Err(error);
        }
        let LaunchError::InterpreterNotFound { what, fix } = error else { return Err(error) };
        let mut words = name.split_whitespace();
        if let (Some(program), Some(_)) = (words.next(), words.next()) {
            let rest = words_after(&name, program);
            let fix = format!(
                "name the program alone and give its arguments after `--`: `--node {program} -- {rest}`"
            );
            return Err(LaunchError::InterpreterNotFound { what, fix });
        }
        let in_registry = ["tsx", "ts-node", "bun", "deno", "electron"].contains(&name.as_ref());
        let fix = match in_registry {
            true => format!("run `{}` in {}", self.add_dev(&name), self.project.root.display()),
            false => fix,
        };
        Err(LaunchError::InterpreterNotFound {
            what: format!("{what}, nor in node_modules/.bin of the project"),
            fix,
        })
    }

    /// tsx or ts-node as the project has it, when only its name is given: run as one of the
    /// project's scripts would be.
    fn named_loader(&self, named: &Path) -> Result<Option<Choice>, LaunchError> {
        let name = named.to_string_lossy();
        let package = if name.starts_with("ts-node") { "ts-node" } else { name.as_ref() };
        if !["tsx", "ts-node"].contains(&package) || !self.spec.args.is_empty() || !self.has_package(package)
        {
            return Ok(None);
        }
        let agent = Agent {
            spec: &AgentSpec { interpreter: None, ..self.spec.clone() },
            project: self.project,
            manifests: manifest::manifests(&self.project.above),
        };
        let runner = Runner::plain(&name, &self.project.file);
        let said = Said { runner, folder: self.project.root.clone(), by: String::new() };
        let choice = agent.resolve(&said)?;
        Ok(choice.map(|choice| Choice { origin: Origin::Given, said_by: None, ..choice }))
    }

    /// Node, or what stands in for it where there is none.
    fn plain(&self, missing: Option<String>) -> Result<Choice, LaunchError> {
        let (program, origin) = self.node()?;
        let args = if is_another(&program) { Vec::new() } else { self.pnp() };
        let candidate = Candidate { program, args, env: Vec::new() };
        Ok(Choice { candidate, origin, said_by: None, missing })
    }

    fn node(&self) -> Result<(PathBuf, Origin), LaunchError> {
        if let Some(named) = &self.spec.interpreter {
            return Ok((self.named(named)?, Origin::Given));
        }
        let on_path = |name| on_path(self.spec, name).map(|program| (program, Origin::Path));
        let host = || Some((self.spec.host_interpreter(Kind::Node)?, Origin::Host));
        let of_project = || Some((self.program("bun", &self.project.root)?, Origin::Runner));
        let found = on_path("node").or_else(host).or_else(|| on_path("nodejs"));
        let found = found.or_else(|| on_path("bun")).or_else(|| on_path("deno")).or_else(of_project);
        found.ok_or_else(|| LaunchError::InterpreterNotFound {
            what: format!("no Node was found for {}", self.project.file.display()),
            fix:
                "there is no node, bun or deno on PATH; install Node.js 20 or newer, or name an interpreter \
                  (`--node PATH`)"
                    .to_owned(),
        })
    }

    /// What the project says about how this file is run.
    fn said(&self) -> Option<Said> {
        let file = &self.project.file;
        let mut all: Vec<Said> = self.manifests.iter().flat_map(Manifest::said).collect();
        if let Some(at) = all.iter().position(|said| said.runner.runs(file, &said.folder)) {
            return Some(all.swap_remove(at));
        }
        let by = |program: &str, by: String| {
            let runner = Runner::plain(program, file);
            Some(Said { runner, folder: self.project.root.clone(), by })
        };
        if let Some(manifest) = self.manifests.first().filter(|first| first.is_deno()) {
            return by("deno", manifest.name.to_owned());
        }
        let text = fs::read(file).unwrap_or_default();
        if memchr::memmem::find(&text, b"npm:@livekit/agents").is_some() {
            return by("deno", "an npm: import".to_owned());
        }
        if !is_typescript(file) {
            return None;
        }
        if let Some(at) =
            all.iter().position(|said| runs_typescript(&said.runner) && is_typescript(&said.runner.file))
        {
            return Some(all.swap_remove(at));
        }
        for manifest in self.manifests.iter().filter(|manifest| !manifest.is_deno()) {
            for program in ["tsx", "ts-node"] {
                if let Some(field) = manifest.declares(program) {
                    return by(program, format!("{field} of {}", manifest.name));
                }
            }
        }
        let locked = ["bun.lock", "bun.lockb"]
            .into_iter()
            .find(|lock| self.project.above.iter().any(|folder| folder.join(lock).is_file()))?;
        // Its lock file alone says only who installs.
        self.program("bun", &self.project.root)?;
        by("bun", locked.to_owned())
    }

    /// The command of what the project says, or None where it is not installed.
    fn resolve(&self, said: &Said) -> Result<Option<Choice>, LaunchError> {
        let Runner { program, flags, env, .. } = &said.runner;
        let mut env: Vec<_> = env.clone();
        // What the person gives counts more than what a script sets.
        env.retain(|(name, _)| !self.spec.env.iter().any(|(given, _)| given == name));
        let by_node = program == "node"
            || (program == "tsx" && self.has_package("tsx"))
            || (program.starts_with("ts-node") && self.has_package("ts-node"));
        let node = if by_node { Some(self.node()?) } else { None };
        if node.as_ref().is_some_and(|(node, _)| is_another(node)) {
            // Bun in the place of Node takes none of Node's loaders, and needs none.
            return self.plain(None).map(Some);
        }
        let (program, args, origin) = match (program.as_str(), node) {
            ("node", Some((program, origin))) => (program, [self.pnp(), flags.clone()].concat(), origin),
            ("tsx", Some((program, origin))) => {
                let flags = tsx_flags(flags, &mut env);
                // As `tsx` does it, without a process between that would pass signals on a second
                // time.
                (program, [self.pnp(), vec!["--import".to_owned(), "tsx".to_owned()], flags].concat(), origin)
            }
            (name, Some((program, origin))) => {
                let flags = ts_node_flags(name, flags, &mut env);
                (program, [self.pnp(), flags].concat(), origin)
            }
            (name, None) => {
                let Some(program) = self.program(name, &said.folder) else { return Ok(None) };
                let flags = if name == "deno" { deno_flags(flags) } else { flags.clone() };
                (program, flags, Origin::Runner)
            }
        };
        // A script that only names the file says nothing new.
        let said_by = (said.runner.program != "node" || !flags.is_empty()).then(|| said.by.clone());
        Ok(Some(Choice { candidate: Candidate { program, args, env }, origin, said_by, missing: None }))
    }

    /// Where what the project names is not installed: Node, if the project does not depend on the
    /// other.
    fn without(&self, said: &Said) -> Result<Choice, LaunchError> {
        let program = said.runner.program.as_str();
        let package = if program.starts_with("ts-node") { "ts-node" } else { program };
        let declared = self.manifests.iter().any(|manifest| manifest.declares(package).is_some());
        let missing = format!("{program}, with which {} runs it, is not installed", said.by);
        // A `deno.json` beside installed packages may be there for its formatter alone.
        let for_tools =
            said.by.starts_with("deno.json") && installed(Kind::Node.sdk(), &self.project.file).is_some();
        if for_tools || (!declared && program != "bun" && program != "deno") {
            return self.plain(Some(missing));
        }
        let root = self.project.root.display();
        let fix = match (declared, program) {
            (true, _) => format!("run `{}` in {root}", manifest::install_command(self.manager())),
            (false, name) => {
                format!("install it, such as by `npm i -D {name}` in {root}, or name it with `--node PATH`")
            }
        };
        Err(LaunchError::InterpreterNotFound {
            what: format!("{} is not run: {missing}", self.project.file.display()),
            fix,
        })
    }

    /// Checks that what was chosen can run the file, and has an SDK that can be driven.
    fn fit(&self, choice: Choice, facts: &Facts) -> Result<Runtime, LaunchError> {
        let Choice { mut candidate, origin, mut said_by, missing } = choice;
        let engine = facts.engine;
        let is_node = matches!(engine, Some(Engine::Node | Engine::Electron));
        let given = [self.given_options(), facts.options.clone()].concat();
        if is_node && origin == Origin::Given && loader(&given).is_none() {
            // The person chose which Node, and the project with what flags.
            let said = self.said().and_then(|said| Some((self.resolve(&said).ok()??, said.by)));
            if let Some((project, by)) = said.filter(|(project, _)| project.origin != Origin::Runner) {
                let is_plain = project.said_by.is_none();
                candidate = Candidate { program: candidate.program, ..project.candidate };
                said_by = (!is_plain).then_some(by);
            }
        }
        if engine == Some(Engine::Deno) {
            candidate.args = self.deno_args(candidate.args);
        }
        if engine == Some(Engine::Electron) {
            candidate.env.push(("ELECTRON_RUN_AS_NODE".to_owned(), "1".to_owned()));
        }
        let mut options = [candidate.args.clone(), given].concat();
        let of_env = candidate.env.iter().filter(|(name, _)| name == "NODE_OPTIONS");
        options.extend(of_env.flat_map(|(_, value)| node_options(value)));
        let has_loader = !is_node || loader(&options).is_some();
        if !has_loader && is_typescript(&self.project.file) {
            candidate.args.extend(self.strip(facts, missing)?);
        }
        let has = |module: &str| options.iter().any(|option| option.contains(module));
        if is_node && has("ts-node/register") && !has("ts-node/esm") {
            // The SDK imports the agent's file, and what is registered alone serves `require()`.
            candidate.args.extend(["--experimental-loader".to_owned(), "ts-node/esm".to_owned()]);
        }
        let can_preload = engine == Some(Engine::Node)
            && has_import(facts)
            && [&candidate.args, &self.spec.args].iter().all(|args| is_flags(args))
            && options::takes_data(&options);
        let sdk_version = self.check_sdk(engine, facts)?;
        let runner = self.describe(&candidate.program, engine, facts, &options, said_by, origin);
        let Candidate { program, args, env } = candidate;
        Ok(Runtime {
            program,
            args,
            origin,
            version: facts.version.clone(),
            sdk_version,
            env,
            runner,
            has_loader,
            can_preload,
        })
    }

    /// What is said at the start about how the agent is run; nothing where it is Node alone.
    fn describe(
        &self,
        program: &Path,
        engine: Option<Engine>,
        facts: &Facts,
        options: &[String],
        said_by: Option<String>,
        origin: Origin,
    ) -> Option<String> {
        let name = match engine {
            Some(Engine::Node) => loader_name(options).map(str::to_owned),
            Some(engine) => {
                Some(format!("{} {}", engine.name(), facts.version.as_deref().unwrap_or_default()))
            }
            None => program.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
        };
        let by = said_by.or_else(|| match (engine, origin) {
            (Some(Engine::Bun | Engine::Deno), Origin::Path | Origin::Runner) => {
                Some("there is no node on PATH".to_owned())
            }
            _ => None,
        });
        match (name, by) {
            (Some(name), Some(by)) => Some(format!("{name} ({by})")),
            (None, Some(by)) => Some(format!("Node with the flags of {by}")),
            (name, None) => name,
        }
    }

    /// The flag with which this Node runs the file, or the error that says why it can't.
    fn strip(&self, facts: &Facts, missing: Option<String>) -> Result<Option<String>, LaunchError> {
        let version = facts.node.as_deref().unwrap_or_default();
        if is_jsx(&self.project.file) {
            return Err(self.cannot_strip("TypeScript or JavaScript with JSX", version, missing));
        }
        match Release::parse(version).map(stripping) {
            Some(Stripping::Impossible) => Err(self.cannot_strip("TypeScript", version, missing)),
            Some(Stripping::ByFlag) => Ok(Some(STRIP_FLAG.to_owned())),
            Some(Stripping::Ready) if facts.refuses_typescript() => Err(self.cannot_strip(
                "TypeScript",
                &format!("{version}, built or told to do without it,"),
                missing,
            )),
            None | Some(Stripping::Ready) => Ok(None),
        }
    }

    fn cannot_strip(&self, language: &str, version: &str, missing: Option<String>) -> LaunchError {
        let file = self.project.file.display();
        let missing = missing.map_or(String::new(), |missing| format!(" ({missing})"));
        let newer = match is_jsx(&self.project.file) {
            true => "name Bun, Deno or tsx (`--node bun`)".to_owned(),
            false => format!("use Node {FIRST_TO_STRIP} or newer (`--node PATH`)"),
        };
        let built = built(&self.manifests, self.manager());
        LaunchError::InterpreterUnfit {
            what: format!("{file} is {language}, which Node {version} cannot run{missing}"),
            fix: format!(
                "run `{}` in {}, and it is run with `--import tsx`; or {newer}; or {}",
                self.add_dev("tsx"),
                self.project.root.display(),
                built.unwrap_or_else(|| "compile the file and name the .js".to_owned()),
            ),
            output: None,
        }
    }

    fn check_sdk(&self, engine: Option<Engine>, facts: &Facts) -> Result<String, LaunchError> {
        let sdk = Kind::Node.sdk();
        let place = || format!("for {}", self.project.file.display());
        // Where the runtime cannot load what is in a folder, its own error at the start says more.
        let in_folder =
            || installed(sdk, &self.project.file).map(|folder| version_in(&folder.join("package.json")));
        let found = match &facts.sdk {
            Some(found) => Some(found.clone()),
            None => in_folder().transpose()?,
        };
        // Deno fetches what a file imports when it runs it.
        let found = found.or_else(|| (engine == Some(Engine::Deno)).then(|| self.version_for_deno())?);
        let Some(found) = found else {
            return Err(LaunchError::SdkMissing { sdk, place: place(), fix: self.install() });
        };
        // A build of the author's own may have any number: it is asked for what is needed.
        if !facts.console && Release::parse(&found).is_some_and(|found| found < FIRST_SDK) {
            return Err(LaunchError::SdkTooOld {
                sdk,
                found,
                needed: FIRST_SDK.to_string(),
                place: place(),
                fix: format!(
                    "run `{}` in {}",
                    manifest::add_command(self.manager(), &format!("{sdk}@latest")),
                    self.project.root.display()
                ),
            });
        }
        Ok(found)
    }

    /// The version in `deno.lock`; an empty one where a file imports the SDK that Deno has not
    /// fetched yet.
    fn version_for_deno(&self) -> Option<String> {
        let sdk = Kind::Node.sdk();
        let locked = self.project.above.iter().find_map(|folder| {
            let text = fs::read_to_string(folder.join("deno.lock")).ok()?;
            let lock: serde_json::Value = serde_json::from_str(&text).ok()?;
            let packages = lock["npm"].as_object()?;
            let version = packages.keys().find_map(|key| key.strip_prefix(sdk)?.strip_prefix('@'))?;
            Some(version.split('_').next().unwrap_or(version).to_owned())
        });
        let imports = || {
            let text = fs::read(&self.project.file).unwrap_or_default();
            memchr::memmem::find(&text, format!("npm:{sdk}").as_bytes()).is_some()
                || self.manifests.iter().any(|manifest| manifest.declares(sdk).is_some())
        };
        locked.or_else(|| imports().then(String::new))
    }

    fn install(&self) -> String {
        let sdk = Kind::Node.sdk();
        let root = self.project.root.display();
        let declared = self.manifests.iter().any(|manifest| manifest.declares(sdk).is_some());
        match declared {
            true => format!("run `{}` in {root}", manifest::install_command(self.manager())),
            false => format!("run `{}` in {root}", manifest::add_command(self.manager(), sdk)),
        }
    }

    fn manager(&self) -> &'static str {
        manifest::package_manager(&self.project.above, &self.manifests)
    }

    fn add_dev(&self, package: &str) -> String {
        manifest::add_dev_command(self.manager(), package)
    }

    /// The options for Node that the person gave, as arguments and in `NODE_OPTIONS`.
    fn given_options(&self) -> Vec<String> {
        let of_env = self.spec.var("NODE_OPTIONS").unwrap_or_default();
        [self.spec.args.clone(), node_options(&of_env.to_string_lossy())].concat()
    }

    /// A program that the project's packages bring, as npm finds it for a script of that folder, or
    /// one on PATH.
    fn program(&self, name: &str, folder: &Path) -> Option<PathBuf> {
        let host = self.spec.host_interpreter(Kind::Node);
        let host = host.filter(|host| host.file_stem().is_some_and(|stem| stem == name));
        let mut own = folder.ancestors().map(|folder| folder.join("node_modules").join(".bin").join(name));
        own.find(|program| program.is_file()).or_else(|| on_path(self.spec, name)).or(host)
    }

    fn has_package(&self, package: &str) -> bool {
        let declared = || self.manifests.iter().any(|manifest| manifest.declares(package).is_some());
        installed(package, &self.project.root).is_some() || (self.pnp_file().is_some() && declared())
    }

    /// What Yarn's Plug'n'Play has in the place of `node_modules`.
    fn pnp_file(&self) -> Option<PathBuf> {
        self.project.root.ancestors().map(|folder| folder.join(".pnp.cjs")).find(|pnp| pnp.is_file())
    }

    /// The flags with which Node finds the packages of a project of Yarn's Plug'n'Play, as
    /// `yarn node` gives them.
    fn pnp(&self) -> Vec<String> {
        let is_given = self.given_options().iter().any(|option| option.contains(".pnp.cjs"));
        let Some(pnp) = self.pnp_file().filter(|_| !is_given) else { return Vec::new() };
        let mut flags = vec!["--require".to_owned(), pnp.display().to_string()];
        let modules = pnp.with_file_name(".pnp.loader.mjs");
        if modules.is_file()
            && let Ok(url) = url::Url::from_file_path(&modules)
        {
            flags.extend(["--experimental-loader".to_owned(), url.to_string()]);
        }
        flags
    }

    /// `run`, and every permission unless the person chose which.
    fn deno_args(&self, args: Vec<String>) -> Vec<String> {
        let given = &self.spec.args;
        let mut args = args;
        args.retain(|arg| arg != "run");
        let is_permission = |arg: &String| {
            ["-A", "-P", "-R", "-W", "-N", "-E", "-S"].contains(&arg.split('=').next().unwrap_or_default())
                || arg.starts_with("--allow-")
                || arg.starts_with("--deny-")
                || arg.starts_with("--permission-set")
        };
        if !given.iter().chain(&args).any(is_permission) {
            args.insert(0, "-A".to_owned());
        }
        if given.iter().all(|arg| arg != "run") {
            args.insert(0, "run".to_owned());
        }
        args
    }
}

/// Whether a program is Bun or Deno, also under the name of `node`, as `bun --bun` puts it on PATH.
fn is_another(program: &Path) -> bool {
    let real = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    [program, &real].iter().filter_map(|path| path.file_stem()).any(|stem| stem == "bun" || stem == "deno")
}

/// What follows the first word.
fn words_after<'a>(text: &'a str, first: &str) -> &'a str {
    text.trim_start().strip_prefix(first).unwrap_or(text).trim()
}

enum Stripping {
    Ready,
    ByFlag,
    Impossible,
}

/// Behind a flag from 22.6, without one from 22.18 and 23.6: Node's change log.
fn stripping(node: Release) -> Stripping {
    let ready = match node.major() {
        ..=22 => Release::new(22, 18, 0),
        _ => Release::new(23, 6, 0),
    };
    if node >= ready {
        Stripping::Ready
    } else if node >= FIRST_TO_STRIP {
        Stripping::ByFlag
    } else {
        Stripping::Impossible
    }
}

/// Whether this Node knows `--import`.
fn has_import(facts: &Facts) -> bool {
    facts.node.as_deref().and_then(Release::parse).is_some_and(|node| node >= FIRST_TO_IMPORT)
}

/// Whether Node has to take something out of the file: types, or JSX.
fn is_typescript(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("ts" | "mts" | "cts" | "tsx" | "jsx"))
}

fn is_jsx(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "tsx" || extension == "jsx")
}

/// Whether a script's command can run TypeScript that Node alone cannot.
fn runs_typescript(runner: &Runner) -> bool {
    let of_env = runner.env.iter().filter(|(name, _)| name == "NODE_OPTIONS");
    let options = of_env.flat_map(|(_, value)| node_options(value)).chain(runner.flags.iter().cloned());
    runner.program != "node" || loader(&options.collect::<Vec<_>>()).is_some()
}

fn version_in(manifest: &Path) -> Result<String, LaunchError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: String,
    }

    let broken = |error: std::io::Error| {
        LaunchError::io(format!("{} cannot be read (reinstall the package)", manifest.display()), error)
    };
    let text = fs::read(manifest).map_err(broken)?;
    let manifest: Version = serde_json::from_slice(&text).map_err(|error| broken(error.into()))?;
    Ok(manifest.version)
}
