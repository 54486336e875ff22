//! What a JavaScript project says of itself: its `package.json` and `deno.json` files and its lock
//! files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::script::Runner;

/// The scripts that people start an agent with, before any other.
const USUAL_SCRIPTS: &[&str] = &["dev", "start", "console"];

/// One manifest of a project.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) folder: PathBuf,
    /// The file's name.
    pub(super) name: &'static str,
    fields: Fields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    package_manager: Option<String>,
    scripts: BTreeMap<String, Value>,
    tasks: BTreeMap<String, Value>,
    dependencies: BTreeMap<String, Value>,
    dev_dependencies: BTreeMap<String, Value>,
    optional_dependencies: BTreeMap<String, Value>,
    peer_dependencies: BTreeMap<String, Value>,
    imports: Value,
}

/// How a manifest says that a file is run.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) runner: Runner,
    /// The folder to which the runner's file is relative.
    pub(super) folder: PathBuf,
    /// Where it is said, such as `script "dev" of package.json`.
    pub(super) by: String,
}

/// The manifests of a project's folder and of those above it that belong to the same work, nearest
/// first.
pub(super) fn manifests(folders: &[PathBuf]) -> Vec<Manifest> {
    let names = ["package.json", "deno.json", "deno.jsonc"];
    folders
        .iter()
        .flat_map(|folder| names.into_iter().filter_map(|name| Manifest::read(folder, name)))
        .collect()
}

impl Manifest {
    fn read(folder: &Path, name: &'static str) -> Option<Self> {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        let text = text.trim_start_matches('\u{feff}');
        // A manifest that its own runtime refuses is named by that runtime.
        let fields = serde_json::from_str(&without_comments(text)).unwrap_or_default();
        Some(Self { folder: folder.to_owned(), name, fields })
    }

    pub(super) fn is_deno(&self) -> bool {
        self.name != "package.json"
    }

    /// The package manager that it pins, without the version.
    pub(super) fn package_manager(&self) -> Option<&str> {
        self.fields.package_manager.as_deref()?.split('@').next()
    }

    /// The field in which a package is named as a dependency.
    pub(super) fn declares(&self, package: &str) -> Option<&'static str> {
        let Fields { dependencies, dev_dependencies, optional_dependencies, peer_dependencies, .. } =
            &self.fields;
        let fields = [
            ("dependencies", dependencies),
            ("devDependencies", dev_dependencies),
            ("optionalDependencies", optional_dependencies),
            ("peerDependencies", peer_dependencies),
        ];
        let found = fields.into_iter().find(|(_, packages)| packages.contains_key(package));
        if found.is_none() && self.fields.imports.get(package).is_some() {
            return Some("imports");
        }
        found.map(|(field, _)| field)
    }

    /// The name of the script that compiles the project.
    pub(super) fn build_script(&self) -> Option<&str> {
        ["build", "compile", "build:agent", "tsc"]
            .into_iter()
            .find(|name| self.fields.scripts.contains_key(*name))
    }

    /// What its scripts and tasks run, the usual ones first.
    pub(super) fn said(&self) -> Vec<Said> {
        let (entries, word) = match self.is_deno() {
            false => (&self.fields.scripts, "script"),
            true => (&self.fields.tasks, "task"),
        };
        let usual = USUAL_SCRIPTS.iter().filter_map(|name| entries.get_key_value(*name));
        let others = entries.iter().filter(|(name, _)| !USUAL_SCRIPTS.contains(&name.as_str()));
        let of_script = |(name, value): (&String, &Value)| {
            let line = value.as_str().or_else(|| value.get("command")?.as_str()).unwrap_or_default();
            let by = format!("{word} \"{name}\" of {}", self.name);
            let said = |runner| Said { runner, folder: self.folder.clone(), by: by.clone() };
            Runner::of(line).into_iter().map(said).collect::<Vec<_>>()
        };
        usual.chain(others).flat_map(of_script).collect()
    }
}

/// The package manager that the project uses: the pinned one, or the one whose lock file it has.
pub(super) fn package_manager(folders: &[PathBuf], manifests: &[Manifest]) -> &'static str {
    const LOCKS: &[(&str, &str)] = &[
        ("pnpm", "pnpm-lock.yaml"),
        ("yarn", "yarn.lock"),
        ("bun", "bun.lock"),
        ("bun", "bun.lockb"),
        ("npm", "package-lock.json"),
        ("deno", "deno.lock"),
    ];
    let pinned = manifests.iter().find_map(Manifest::package_manager);
    let named = LOCKS.iter().find(|(manager, _)| Some(*manager) == pinned);
    let locked = || {
        let has = |(_, lock): &&(&str, &str)| folders.iter().any(|folder| folder.join(lock).is_file());
        LOCKS.iter().find(has)
    };
    let only_deno = !manifests.is_empty() && manifests.iter().all(Manifest::is_deno);
    match named.or_else(locked) {
        Some((manager, _)) => manager,
        None if only_deno => "deno",
        None => "npm",
    }
}

/// The command of a package manager that installs what the manifest names.
pub(super) fn install_command(manager: &str) -> String {
    format!("{manager} install")
}

/// The command of a package manager that adds a package.
pub(super) fn add_command(manager: &str, package: &str) -> String {
    match manager {
        "npm" => format!("npm install {package}"),
        "deno" => format!("deno add npm:{package}"),
        manager => format!("{manager} add {package}"),
    }
}

/// The command of a package manager that adds a package for development.
pub(super) fn add_dev_command(manager: &str, package: &str) -> String {
    match manager {
        "npm" => format!("npm i -D {package}"),
        "deno" => format!("deno add --dev npm:{package}"),
        "bun" => format!("bun add -d {package}"),
        manager => format!("{manager} add -D {package}"),
    }
}

/// The command of a package manager that runs a script.
pub(super) fn run_command(manager: &str, script: &str) -> String {
    format!("{manager} run {script}")
}

/// JSON out of JSON with comments and trailing commas, which `deno.jsonc` and `tsconfig.json` are.
pub(super) fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => {
                plain.push(c);
                while let Some(c) = chars.next() {
                    plain.push(c);
                    match c {
                        '\\' => plain.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            ('/', Some('/')) => while chars.next_if(|&c| c != '\n').is_some() {},
            ('/', Some('*')) => {
                let mut last = ' ';
                chars.next();
                for c in chars.by_ref() {
                    if (last, c) == ('*', '/') {
                        break;
                    }
                    last = c;
                }
            }
            ('}' | ']', _) => {
                let end = plain.trim_end().len();
                if plain[..end].ends_with(',') {
                    plain.truncate(end - 1);
                }
                plain.push(c);
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::without_comments;

    #[test]
    fn json_with_comments_and_trailing_commas_is_read() {
        let text =
            "{ // a \"comment\"\n \"a\": \"//, }\\\"\", /* b, */ \"b\": [1, 2, ], \"c\": {\"d\": 1,\n}, }";
        let read: Value = serde_json::from_str(&without_comments(text)).expect("JSON");
        assert_eq!(read, json!({"a": "//, }\"", "b": [1, 2], "c": {"d": 1}}));
    }
}
