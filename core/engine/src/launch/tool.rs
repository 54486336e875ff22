//! Tools that keep the environment of a Python project, most of them outside of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::AgentSpec;
use super::LaunchError;
use super::declared::{Declared, declared, has_table, is_sdk};
use super::environment::Environment;
use super::interpreter::on_path;
use super::plan::Origin;
use super::probe::{Deadline, ask};
use super::project::Project;

/// A tool that keeps environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Poetry,
    Pdm,
    Pipenv,
    Hatch,
    Conda,
}

/// A project whose environment a tool keeps.
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) tool: Tool,
    /// The file that says so.
    mark: PathBuf,
    /// The name of conda's environment.
    name: Option<String>,
}

/// The environment that a tool keeps.
#[derive(Debug)]
pub(super) enum Kept {
    /// The tool itself runs programs in it, by these words.
    RunBy(PathBuf, &'static [&'static str]),
    /// Its interpreter, with the variables that activating it sets.
    Python(PathBuf, Vec<(String, String)>),
    /// It is there and of no use.
    Unusable(PathBuf, String),
    /// The tool has none for the project.
    Missing,
    /// There is no such tool on PATH.
    NoTool,
}

impl Managed {
    /// The tool of the nearest folder that has a mark of one.
    pub(super) fn find(project: &Project) -> Option<Self> {
        project.above.iter().find_map(|folder| Self::in_folder(folder))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let pyproject = folder.join("pyproject.toml");
        let text = fs::read_to_string(&pyproject).unwrap_or_default();
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let table = |name: &str, build: &[&str]| has_table(&text, name, build).then(|| pyproject.clone());
        let by = |tool, mark: Option<PathBuf>| Some(Self { tool, mark: mark?, name: None });
        by(Tool::Poetry, file("poetry.lock").or_else(|| table("tool.poetry", &[])))
            .or_else(|| {
                by(
                    Tool::Pdm,
                    file(".pdm-python")
                        .or_else(|| file("pdm.lock"))
                        .or_else(|| table("tool.pdm", &["version", "build"])),
                )
            })
            .or_else(|| by(Tool::Pipenv, file("Pipfile")))
            .or_else(|| by(Tool::Hatch, file("hatch.toml").or_else(|| table("tool.hatch.envs", &[]))))
            .or_else(|| {
                let mark = file("environment.yml").or_else(|| file("environment.yaml"))?;
                let name = name_in(&mark)?;
                Some(Self { tool: Tool::Conda, mark, name: Some(name) })
            })
    }

    /// Asks the tool for the project's environment. None is made.
    pub(super) async fn environment(
        &self,
        spec: &AgentSpec,
        project: &Project,
        deadline: Deadline,
    ) -> Result<Kept, LaunchError> {
        if self.tool == Tool::Conda {
            return self.conda_environment(spec, project, deadline).await;
        }
        let program = on_path(spec, self.tool.program());
        if self.tool == Tool::Pdm {
            // `pdm info` would make an environment. This file names the one that there is.
            let chosen = self.mark.parent().map(|folder| folder.join(".pdm-python"));
            let chosen = chosen.and_then(|file| fs::read_to_string(file).ok());
            let Some(python) = chosen.map(|text| PathBuf::from(text.trim())) else {
                return Ok(if program.is_some() { Kept::Missing } else { Kept::NoTool });
            };
            return Ok(match program {
                _ if !python.is_file() => {
                    let wrong = format!("is named by {}, and is not there", self.mark.display());
                    Kept::Unusable(python, wrong)
                }
                Some(pdm) => Kept::RunBy(pdm, &["run", "python"]),
                None => Kept::Python(python, Vec::new()),
            });
        }
        let Some(program) = program else { return Ok(Kept::NoTool) };
        let question: &[&str] = match self.tool {
            Tool::Poetry => &["env", "info", "--path"],
            Tool::Pipenv => &["--venv"],
            _ => &["env", "find"],
        };
        let text = self.ask(&program, question, spec, project, deadline).await?;
        let folder = text.lines().rev().map(|line| Path::new(line.trim())).find(|path| path.is_absolute());
        Ok(match folder.map(|folder| (folder, Environment::at(folder))) {
            Some((_, Environment::Usable(_))) => Kept::RunBy(program, &["run", "python"]),
            Some((folder, Environment::Unusable(wrong, _))) => Kept::Unusable(folder.to_owned(), wrong),
            Some((_, Environment::Absent)) | None => Kept::Missing,
        })
    }

    /// Conda's list of environments, or the one that it keeps in the home folder.
    async fn conda_environment(
        &self,
        spec: &AgentSpec,
        project: &Project,
        deadline: Deadline,
    ) -> Result<Kept, LaunchError> {
        #[derive(Deserialize)]
        struct Listed {
            envs: Vec<PathBuf>,
        }

        let named =
            ["CONDA_EXE", "MAMBA_EXE"].into_iter().filter_map(|name| spec.var(name)).map(PathBuf::from);
        let mut programs =
            ["conda", "mamba", "micromamba"].into_iter().filter_map(|name| on_path(spec, name));
        let program = programs.next().or_else(|| named.into_iter().find(|path| path.is_file()));
        let mut folders = Vec::new();
        if let Some(program) = &program {
            let text = self.ask(program, &["env", "list", "--json"], spec, project, deadline).await?;
            let json = text.find('{').map_or("", |start| &text[start..]);
            // The list may be followed by words of a plugin.
            let mut documents = serde_json::Deserializer::from_str(json).into_iter::<Listed>();
            folders = documents.next().and_then(Result::ok).map_or_else(Vec::new, |listed| listed.envs);
        } else if let Some(home) = spec.var("HOME") {
            let list =
                fs::read_to_string(Path::new(&home).join(".conda/environments.txt")).unwrap_or_default();
            folders = list.lines().map(PathBuf::from).collect();
        }
        let name = self.name.as_deref().unwrap_or_default();
        let Some(folder) =
            folders.into_iter().find(|folder| folder.file_name().is_some_and(|last| last == name))
        else {
            return Ok(if program.is_some() { Kept::Missing } else { Kept::NoTool });
        };
        Ok(match Environment::at(&folder) {
            Environment::Usable(python) => {
                let mut path = folder.join("bin").into_os_string();
                if let Some(known) = spec.var("PATH") {
                    path.push(":");
                    path.push(known);
                }
                let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
                let variables = [
                    ("CONDA_DEFAULT_ENV", name.to_owned()),
                    ("CONDA_PREFIX", text(folder.as_os_str())),
                    ("PATH", text(&path)),
                ];
                Kept::Python(python, variables.map(|(key, value)| (key.to_owned(), value)).to_vec())
            }
            Environment::Unusable(wrong, _) => Kept::Unusable(folder, wrong),
            Environment::Absent => Kept::Missing,
        })
    }

    async fn ask(
        &self,
        program: &Path,
        words: &[&str],
        spec: &AgentSpec,
        project: &Project,
        deadline: Deadline,
    ) -> Result<String, LaunchError> {
        let mut question = Command::new(program);
        question.args(words).current_dir(&project.root);
        question.envs(spec.env.iter().map(|(key, value)| (key, value)));
        let answer = ask(question, deadline).await?;
        Ok(if answer.success { answer.text } else { String::new() })
    }

    /// `Poetry keeps this project's environment (/p/poetry.lock)`.
    pub(super) fn describe(&self) -> String {
        format!("{} keeps this project's environment ({})", self.tool.name(), self.mark.display())
    }

    /// The command that makes the environment with the SDK in it, or installs the SDK into it.
    pub(super) fn install(&self, project: &Project) -> String {
        let places = declared(&project.root);
        let place = places.first();
        let mentioned = || fs::read_to_string(&self.mark).is_ok_and(|text| text.contains("livekit-agents"));
        match (self.tool, place) {
            (Tool::Poetry, Some(place)) => format!("poetry install{}", place.option("--extras", "--with")),
            (Tool::Poetry, None) => "poetry add livekit-agents".to_owned(),
            (Tool::Pdm, Some(place)) => format!("pdm install{}", place.option("-G", "-G")),
            (Tool::Pdm, None) => "pdm add livekit-agents".to_owned(),
            (Tool::Pipenv, _) if mentioned() => "pipenv install".to_owned(),
            (Tool::Pipenv, _) => "pipenv install livekit-agents".to_owned(),
            (Tool::Hatch, _) => "hatch run python -m pip install livekit-agents".to_owned(),
            (Tool::Conda, _) if mentioned() => {
                format!("conda env update -f {}", self.mark.display())
            }
            (Tool::Conda, _) => format!(
                "conda run -n {} python -m pip install livekit-agents",
                self.name.as_deref().unwrap_or("base")
            ),
        }
    }

    /// The command that installs such a release of the SDK into the environment.
    pub(super) fn upgrade(&self, project: &Project, requirement: &str) -> String {
        let places = declared(&project.root);
        let option =
            |extra, group| only_option(&places).map(|place| place.option(extra, group)).unwrap_or_default();
        match self.tool {
            Tool::Poetry => format!("poetry add{} {requirement}", option("--optional", "--group")),
            Tool::Pdm => format!("pdm add{} {requirement}", option("-G", "-G")),
            Tool::Pipenv => format!("pipenv install {requirement}"),
            Tool::Hatch => format!("hatch run python -m pip install {requirement}"),
            Tool::Conda => format!(
                "conda run -n {} python -m pip install {requirement}",
                self.name.as_deref().unwrap_or("base")
            ),
        }
    }

    /// The command that makes the environment.
    pub(super) fn create(&self, project: &Project) -> String {
        match self.tool {
            Tool::Hatch => "hatch env create".to_owned(),
            Tool::Conda => format!("conda env create -f {}", self.mark.display()),
            Tool::Pipenv => "pipenv install".to_owned(),
            _ => self.install(project),
        }
    }

    /// The command that starts the agent in the environment.
    pub(super) fn run(&self, project: &Project) -> String {
        let start = format!("greenroom start {}", super::interpreter::quoted(&project.file));
        match self.tool {
            Tool::Conda => {
                format!("conda activate {} && {start}", self.name.as_deref().unwrap_or("base"))
            }
            tool => format!("{} run {start}", tool.program()),
        }
    }
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Poetry => "Poetry",
            Self::Pdm => "PDM",
            Self::Pipenv => "Pipenv",
            Self::Hatch => "Hatch",
            Self::Conda => "conda",
        }
    }

    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Poetry => "poetry",
            Self::Pdm => "pdm",
            Self::Pipenv => "pipenv",
            Self::Hatch => "hatch",
            Self::Conda => "conda",
        }
    }

    pub(super) fn origin(self) -> Origin {
        match self {
            Self::Poetry => Origin::Poetry,
            Self::Pdm => Origin::Pdm,
            Self::Pipenv => Origin::Pipenv,
            Self::Hatch => Origin::Hatch,
            Self::Conda => Origin::Conda,
        }
    }
}

/// The name in an environment file of conda.
fn name_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("name:"))?;
    let name = name.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether a file of requirements names the SDK.
pub(super) fn requires_sdk(file: &Path) -> bool {
    fs::read_to_string(file).unwrap_or_default().lines().any(is_sdk)
}

/// The only extra or group that has the SDK, if the project's own dependencies have it not.
pub(super) fn only_option(places: &[Declared]) -> Option<&Declared> {
    match places {
        [place @ (Declared::Extra(_) | Declared::Group(_))] => Some(place),
        _ => None,
    }
}
