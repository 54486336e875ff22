//! The interpreter and SDK of a JavaScript or TypeScript agent.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::interpreter::{Runtime, named_interpreter, on_path};
use super::plan::Origin;
use super::probe::{Deadline, ask};
use super::project::Project;
use super::release::Release;
use super::{AgentSpec, Kind, LaunchError};

/// The first release whose `console` connects out.
const FIRST_SDK: Release = Release::new(1, 4, 7);

/// The first Node that runs TypeScript, by taking the types out, with a flag.
const FIRST_TO_STRIP: Release = Release::new(22, 6, 0);

const STRIP_FLAG: &str = "--experimental-strip-types";

pub(super) async fn find(
    spec: &AgentSpec,
    project: &Project,
    deadline: Deadline,
) -> Result<Runtime, LaunchError> {
    let sdk_version = check_sdk(project)?;
    let (program, origin) = match &spec.interpreter {
        Some(named) => (named_interpreter(spec, named)?, Origin::Given),
        None => path_or_host(spec, project)?,
    };
    let version = version_of(&program, spec, project, deadline).await?;
    let mut args = Vec::new();
    if is_typescript(&project.file) && !brings_own_loader(&spec.args) {
        // Another runtime than Node (tsx, bun, deno) was named for what it can do.
        match version.as_deref().and_then(Release::parse).map(stripping) {
            None | Some(Stripping::Ready) => {}
            Some(Stripping::ByFlag) => args.push(STRIP_FLAG.to_owned()),
            Some(Stripping::Impossible) => {
                return Err(cannot_strip(project, version.as_deref().unwrap_or_default()));
            }
        }
    }
    Ok(Runtime { program, args, origin, version, sdk_version, env: Vec::new() })
}

fn path_or_host(spec: &AgentSpec, project: &Project) -> Result<(PathBuf, Origin), LaunchError> {
    let on_path = on_path(spec, "node").map(|node| (node, Origin::Path));
    let found = on_path.or_else(|| Some((spec.host_interpreter(Kind::Node)?, Origin::Host)));
    found.ok_or_else(|| LaunchError::InterpreterNotFound {
        what: format!("no Node was found for {}", project.file.display()),
        fix: "there is no node on PATH; install Node.js 20 or newer, or name an interpreter".to_owned(),
    })
}

/// The version without its `v`, or None of a program that is not Node.
async fn version_of(
    program: &Path,
    spec: &AgentSpec,
    project: &Project,
    deadline: Deadline,
) -> Result<Option<String>, LaunchError> {
    let mut question = Command::new(program);
    question.arg("--version").current_dir(&project.root);
    question.envs(spec.env.iter().map(|(key, value)| (key, value)));
    let answer = ask(question, deadline).await?;
    if !answer.success {
        return Err(LaunchError::InterpreterUnfit {
            what: format!("`{} --version` failed", program.display()),
            fix: "name another interpreter".to_owned(),
            output: Some(answer.text.trim().to_owned()),
        });
    }
    let is_version = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
    Ok(answer.value("v").filter(is_version).map(str::to_owned))
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

fn is_typescript(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "ts" || extension == "mts" || extension == "cts")
}

/// Arguments by which a person tells Node how to read TypeScript.
fn brings_own_loader(args: &[String]) -> bool {
    const LOADERS: &[&str] = &[
        "--import",
        "--loader",
        "--experimental-loader",
        "--require",
        "-r",
        STRIP_FLAG,
        "--experimental-transform-types",
    ];
    args.iter().any(|arg| LOADERS.contains(&arg.split('=').next().unwrap_or(arg)))
}

fn cannot_strip(project: &Project, version: &str) -> LaunchError {
    LaunchError::InterpreterUnfit {
        what: format!("{} is TypeScript, which Node {version} cannot run", project.file.display()),
        fix: format!(
            "use Node {FIRST_TO_STRIP} or newer, give it a loader (arguments `--import tsx`), or compile the file \
             and name the .js"
        ),
        output: None,
    }
}

/// Node's own way to find a package: `node_modules` of the real file's folder, then of each folder above.
fn check_sdk(project: &Project) -> Result<String, LaunchError> {
    let sdk = Kind::Node.sdk();
    let real = std::fs::canonicalize(&project.file).unwrap_or_else(|_| project.file.clone());
    let manifests =
        real.ancestors().skip(1).map(|folder| folder.join("node_modules").join(sdk).join("package.json"));
    let Some(manifest) = manifests.into_iter().find(|manifest| manifest.is_file()) else {
        let place = format!("for {}", project.file.display());
        return Err(LaunchError::SdkMissing { sdk, place, fix: install(project) });
    };
    let found = version_in(&manifest)?;
    if Release::parse(&found).is_some_and(|found| found < FIRST_SDK) {
        return Err(LaunchError::SdkTooOld {
            sdk,
            found,
            needed: FIRST_SDK.to_string(),
            place: format!("for {}", project.file.display()),
            fix: format!("run `{} {sdk}@latest` in {}", add_command(project), project.root.display()),
        });
    }
    Ok(found)
}

fn version_in(manifest: &Path) -> Result<String, LaunchError> {
    #[derive(Deserialize)]
    struct Manifest {
        version: String,
    }

    let broken = |error: std::io::Error| {
        LaunchError::io(format!("{} cannot be read (reinstall the package)", manifest.display()), error)
    };
    let text = std::fs::read(manifest).map_err(broken)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| broken(error.into()))?;
    Ok(manifest.version)
}

fn install(project: &Project) -> String {
    let sdk = Kind::Node.sdk();
    let root = project.root.display();
    let manifest = std::fs::read_to_string(project.root.join("package.json")).unwrap_or_default();
    if manifest.contains(&format!("\"{sdk}\"")) {
        format!("run `{} install` in {root}", manager(project))
    } else {
        format!("run `{} {sdk}` in {root}", add_command(project))
    }
}

fn add_command(project: &Project) -> &'static str {
    match manager(project) {
        "pnpm" => "pnpm add",
        "yarn" => "yarn add",
        _ => "npm install",
    }
}

/// The package manager whose lock file the project has.
fn manager(project: &Project) -> &'static str {
    let has = |name: &str| project.above.iter().any(|folder| folder.join(name).is_file());
    if has("pnpm-lock.yaml") {
        "pnpm"
    } else if has("yarn.lock") {
        "yarn"
    } else {
        "npm"
    }
}
