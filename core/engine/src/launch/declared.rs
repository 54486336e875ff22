//! Where a Python project says that it needs the SDK.

use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::Kind;

/// One place in which requirements are declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    /// The dependencies of the project itself.
    Main,
    /// An extra: `[project.optional-dependencies]`.
    Extra(String),
    /// A dependency group: `[dependency-groups]`, or `[tool.poetry.group]`.
    Group(String),
}

impl Declared {
    /// What this place adds to a command that knows extras and groups by these options.
    pub(super) fn option(&self, extra: &str, group: &str) -> String {
        match self {
            Self::Main => String::new(),
            Self::Extra(name) => format!(" {extra} {name}"),
            Self::Group(name) => format!(" {group} {name}"),
        }
    }
}

/// Every place in which `pyproject.toml` declares the SDK or a plugin of it, the project's own dependencies first.
/// A file that is not TOML declares nothing: the tool that reads it says so better.
pub(super) fn declared(project: &Path) -> Vec<Declared> {
    let text = fs::read_to_string(project.join("pyproject.toml")).unwrap_or_default();
    let Ok(document) = text.parse::<DocumentMut>() else { return Vec::new() };
    let mut places = Vec::new();
    // A list outside of every table is a slip that its tool will name.
    if has_sdk(at(&document, &["project", "dependencies"]))
        || has_sdk(document.get("dependencies"))
        || has_sdk(at(&document, &["tool", "poetry", "dependencies"]))
        || has_sdk(at(&document, &["tool", "uv", "dev-dependencies"]))
    {
        places.push(Declared::Main);
    }
    let lists = |path: &[&str]| names(at(&document, path), has_sdk);
    places.extend(lists(&["project", "optional-dependencies"]).map(Declared::Extra));
    places.extend(lists(&["dependency-groups"]).map(Declared::Group));
    let of_poetry = at(&document, &["tool", "poetry", "group"]);
    places.extend(
        names(of_poetry, |group| has_sdk(group.and_then(|group| group.get("dependencies"))))
            .map(Declared::Group),
    );
    places
}

fn at<'a>(document: &'a DocumentMut, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(document.as_item(), |item, key| item.get(key))
}

/// The keys of a table whose values are such.
fn names<'a>(
    table: Option<&'a Item>,
    is_such: impl Fn(Option<&'a Item>) -> bool,
) -> impl Iterator<Item = String> {
    let entries = table.and_then(Item::as_table_like).map(TableLike::iter);
    let found: Vec<_> = entries
        .into_iter()
        .flatten()
        .filter(|(_, item)| is_such(Some(item)))
        .map(|(name, _)| name.to_owned())
        .collect();
    found.into_iter()
}

/// Whether a list of requirements, or a table with their names as keys, has the SDK in it.
fn has_sdk(requirements: Option<&Item>) -> bool {
    let Some(item) = requirements else { return false };
    if let Some(list) = item.as_array() {
        return list.iter().filter_map(Value::as_str).any(is_sdk);
    }
    item.as_table_like().is_some_and(|table| table.iter().any(|(name, _)| is_sdk(name)))
}

/// Whether a requirement, as pip reads it, is the SDK or brings it: `livekit-agents[openai]~=1.6`.
pub(super) fn is_sdk(requirement: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let requirement = requirement.trim();
    let name = &requirement[..requirement.find(|c| !is_name(c)).unwrap_or(requirement.len())];
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    name == Kind::Python.sdk() || name.starts_with("livekit-plugins-")
}

/// Whether a file starts with the metadata of a script (PEP 723), by which uv, pipx and others run it.
pub(super) fn is_script(file: &Path) -> bool {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim_end).skip_while(|line| *line != "# /// script").skip(1);
    lines.by_ref().take_while(|line| line.starts_with('#')).any(|line| line == "# ///")
}

/// Whether a `pyproject.toml` has the table of a tool, or one below it. Tables that only say how the project is built do not count:
/// a backend reads them without the tool.
pub(super) fn has_table(pyproject: &str, tool: &str, build: &[&str]) -> bool {
    pyproject.lines().any(|line| {
        let name = line.trim_start().trim_start_matches('[').trim_start();
        let Some(rest) = name.strip_prefix(tool).filter(|_| line.trim_start().starts_with('[')) else {
            return false;
        };
        match rest.trim_start().strip_prefix('.') {
            None => rest.trim_start().starts_with(']'),
            Some(below) => {
                let first = below.split(['.', ']']).next().unwrap_or_default().trim();
                !build.contains(&first)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Declared, declared, is_script, is_sdk};

    #[test]
    fn table_of_a_tool_is_told_from_others() {
        for (text, tool, build, has) in [
            ("[tool.uv]", "tool.uv", [].as_slice(), true),
            (" [ tool.uv ] # settings", "tool.uv", &[], true),
            ("[tool.uv.sources]", "tool.uv", &["build-backend"], true),
            ("[[tool.uv.index]]", "tool.uv", &["build-backend"], true),
            ("[tool.uvicorn]", "tool.uv", &[], false),
            ("[tool.uv-dynamic-versioning]", "tool.uv", &[], false),
            ("[tool.uv.build-backend]", "tool.uv", &["build-backend"], false),
            ("[tool.uv.build-backend.data]", "tool.uv", &["build-backend"], false),
            ("[tool.poetry-dynamic-versioning]", "tool.poetry", &[], false),
            ("[tool.poetry.dependencies]", "tool.poetry", &[], true),
            ("[tool.pdm.version]\n[tool.pdm.build]", "tool.pdm", &["version", "build"], false),
            ("[tool.pdm.version]\n[tool.pdm.dev-dependencies]", "tool.pdm", &["version", "build"], true),
            ("tool.uv = 1", "tool.uv", &[], false),
        ] {
            assert_eq!(super::has_table(text, tool, build), has, "{text}");
        }
    }

    #[test]
    fn requirement_of_the_sdk_in_any_spelling_is_recognised() {
        for requirement in [
            "livekit-agents",
            "livekit-agents[openai,silero]~=1.6",
            "LiveKit_Agents>=1.6; python_version > '3.9'",
            " livekit.agents @ git+https://example.com/agents",
            "livekit-plugins-silero",
        ] {
            assert!(is_sdk(requirement), "{requirement}");
        }
        for requirement in
            ["livekit", "livekit-api", "my-livekit-agents", "", "# livekit-agents", "-r more.txt"]
        {
            assert!(!is_sdk(requirement), "{requirement}");
        }
    }

    #[test]
    fn places_of_the_sdk_in_pyproject_are_listed() {
        let extra = |name: &str| Declared::Extra(name.to_owned());
        let group = |name: &str| Declared::Group(name.to_owned());
        for (text, expected) in [
            ("[project]\ndependencies = ['livekit-agents~=1.6']", vec![Declared::Main]),
            ("[tool.poetry.dependencies]\npython = '^3.10'\nlivekit-agents = '^1.6'", vec![Declared::Main]),
            ("[tool.uv]\ndev-dependencies = ['livekit-agents']", vec![Declared::Main]),
            (
                "[project.optional-dependencies]\nvoice = ['livekit-agents']\ndocs = ['mkdocs']\n\
                 phone = ['livekit-plugins-silero']",
                vec![extra("voice"), extra("phone")],
            ),
            ("[dependency-groups]\nagent = [{include-group = 'x'}, 'livekit-agents']", vec![group("agent")]),
            ("[tool.poetry.group.bot.dependencies]\nlivekit-agents = '*'", vec![group("bot")]),
            ("[project]\nname = 'livekit-agents-demo'\n# livekit-agents", vec![]),
            ("not toml", vec![]),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("pyproject.toml"), text).expect("write");
            assert_eq!(declared(folder.path()), expected, "{text}");
        }
        assert_eq!(declared(std::path::Path::new("/nowhere")), []);
    }

    #[test]
    fn script_metadata_is_recognised_by_its_block() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("agent.py");
        for (text, expected) in [
            ("# /// script\n# dependencies = []\n# ///\n", true),
            (
                "#!/usr/bin/env -S uv run --script\n\n# /// script\r\n#\r\n# x = 1\r\n# ///\r\nimport x\n",
                true,
            ),
            ("# /// script\n# dependencies = []\nimport x\n# ///\n", false),
            ("x = '# /// script'\n", false),
        ] {
            fs::write(&file, text).expect("write");
            assert_eq!(is_script(&file), expected, "{text}");
        }
    }
}
