//! Why Node could not load an agent's files, and the way out.
//!
//! Node runs TypeScript by taking the types out. What needs more than that ends in an error of
//! Node's own, which names no way out: this module recognises each and names one.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::manifest::{self, Manifest, without_comments};
use super::question::package_of;
use crate::launch::Plan;

/// Returns what to do about an agent that did not get as far as to connect, if its last lines say
/// why.
pub(in crate::launch) fn way_out(plan: &Plan, tail: &[impl AsRef<str>]) -> Option<String> {
    let folders: Vec<PathBuf> = plan.project_dir.ancestors().map(Path::to_owned).collect();
    let manifests = manifest::manifests(&folders);
    Failure { plan, tail: tail.iter().map(AsRef::as_ref).collect(), folders, manifests }.way_out()
}

struct Failure<'a> {
    plan: &'a Plan,
    tail: Vec<&'a str>,
    /// The project's folder and those above it.
    folders: Vec<PathBuf>,
    manifests: Vec<Manifest>,
}

impl Failure<'_> {
    fn way_out(&self) -> Option<String> {
        let construct = match self.plan.has_loader {
            // Some loaders serve `require()` alone, and the SDK imports the agent's file.
            true => self.extension(),
            false => self.typescript(),
        };
        if let Some(construct) = construct {
            return Some(format!("{construct}: {}", self.needs_runner()));
        }
        self.without_extension()
            .or_else(|| self.broken_package())
            .or_else(|| self.missing_package())
            .or_else(|| self.module_kind())
    }

    fn needs_runner(&self) -> String {
        let manager = self.manager();
        // A JavaScript file is run by Node, also where there is tsx.
        let used = match super::is_typescript(&self.plan.entry) {
            true => "with which it is run from then on",
            false => "and start it with `-- --import tsx`",
        };
        let mut text = format!(
            "run `{}` in {}, {used}, or name another runtime with `--node` (tsx, Bun, Deno)",
            manifest::add_dev_command(manager, "tsx"),
            self.plan.project_dir.display(),
        );
        if let Some(built) = super::built(&self.manifests, manager) {
            text = format!("{text}, or {built}");
        }
        text
    }

    fn manager(&self) -> &'static str {
        manifest::package_manager(&self.folders, &self.manifests)
    }

    /// What it is that Node does not do with TypeScript.
    fn typescript(&self) -> Option<String> {
        self.syntax()
            .or_else(|| self.unresolved_file())
            .or_else(|| self.unresolved_alias())
            .or_else(|| self.types_as_values())
            .or_else(|| self.extension())
            .or_else(|| self.of_a_package())
            .or_else(|| self.decorator())
    }

    /// The first line that contains `start`, as what stands between it and `end`.
    fn between(&self, start: &str, end: &str) -> Option<&str> {
        self.tail.iter().find_map(|line| Some(line.split_once(start)?.1.split_once(end)?.0))
    }

    fn has(&self, words: &str) -> bool {
        self.tail.iter().any(|line| line.contains(words))
    }

    /// The place of a syntax error: `file:///p/src/cup.ts:3`.
    fn place(&self) -> Option<(PathBuf, &str)> {
        self.tail.iter().find_map(|line| {
            let (file, number) = line.rsplit_once(':')?;
            let is_place = number.parse::<u32>().is_ok() && super::is_typescript(Path::new(file));
            let file = url::Url::parse(file).ok().and_then(|url| url.to_file_path().ok());
            let file = file.or_else(|| {
                line.starts_with('/').then(|| line.rsplit_once(':'))?.map(|(file, _)| file.into())
            });
            is_place.then_some((file?, number))
        })
    }

    /// A path as the person knows it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.plan.project_dir).unwrap_or(path).display().to_string()
    }

    fn at(&self) -> String {
        self.place().map_or(String::new(), |(file, line)| format!(" ({}:{line})", self.shown(&file)))
    }

    /// `TypeScript enum is not supported in strip-only mode`.
    fn syntax(&self) -> Option<String> {
        if !self.has("ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
            return None;
        }
        let construct = self.between("]: TypeScript ", " is not supported in").map(with_article);
        let construct = construct.unwrap_or_else(|| "this syntax".to_owned());
        Some(format!(
            "Node only takes the types out of TypeScript, which does not do for {construct}{}",
            self.at()
        ))
    }

    /// The file that an import does not find, who imports it, and the file that it means.
    fn unresolved_import(&self) -> Option<(PathBuf, PathBuf, PathBuf)> {
        let missing =
            self.between("Cannot find module '", "'").or_else(|| self.between("Directory import '", "'"))?;
        let imported_from = self.tail.iter().find_map(|line| Some(line.split_once("imported from ")?.1));
        // `require()` has a list of those that required it.
        let required_from = || self.tail.iter().find_map(|line| line.strip_prefix("- "));
        let importer = Path::new(imported_from.or_else(required_from)?.trim()).to_owned();
        let missing = importer.parent()?.join(missing);
        let source = source_of(&missing)?;
        Some((missing, importer, source))
    }

    /// `import './cup.js'` or `'./cup'`, where there is only a `cup.ts`; a folder with an
    /// `index.ts`.
    fn unresolved_file(&self) -> Option<String> {
        let (missing, importer, source) = self.unresolved_import()?;
        let relation = match missing.extension() {
            Some(extension) if extension.to_string_lossy().ends_with("js") => "which is in fact",
            _ => "without the extension of",
        };
        let (by, source_shown) = (self.shown(&importer), self.shown(&source));
        let of_typescript = super::is_typescript(&importer) || super::is_typescript(&source);
        of_typescript.then(|| {
            format!(
                "{by} imports {}, {relation} {source_shown}, and Node looks for files by their whole names only",
                self.shown(&missing),
            )
        })
    }

    /// `import './cup'` of a `cup.js`.
    fn without_extension(&self) -> Option<String> {
        let (missing, importer, source) = self.unresolved_import()?;
        Some(format!(
            "write the whole name in {}: {} is {}",
            self.shown(&importer),
            self.shown(&missing),
            self.shown(&source),
        ))
    }

    /// `import '@/cup'` by the `paths` or the `baseUrl` of `tsconfig.json`.
    fn unresolved_alias(&self) -> Option<String> {
        let specifier = self
            .between("Cannot find package '", "'")
            .or_else(|| self.between("Package import specifier \"", "\""))
            .or_else(|| self.between("Cannot find module '", "'"))
            .or_else(|| self.between("Invalid module \"", "\""))?;
        let config = self.folders.iter().map(|folder| folder.join("tsconfig.json"));
        let config = config.into_iter().find(|config| config.is_file())?;
        is_alias(&config, specifier, 4)
            .then(|| format!("{specifier} is a path of {}, which Node does not read", self.shown(&config)))
    }

    /// `import { Cup }` of a type, which is not there once the types are out.
    fn types_as_values(&self) -> Option<String> {
        let words = "does not provide an export named '";
        let name = self.between(words, "'")?;
        let module = self
            .between("The requested module '", "'")
            .filter(|module| super::is_typescript(Path::new(module)));
        let by_typescript = self.place().is_some();
        (module.is_some() || by_typescript).then(|| {
            format!(
                "{name} may be a type, and Node takes out only what is imported as one (`import type {{ {name} }}`){}",
                self.at()
            )
        })
    }

    fn extension(&self) -> Option<String> {
        let extension = self.between("Unknown file extension \"", "\"")?;
        let file = self.tail.iter().find_map(|line| line.split_once("\" for "))?.1;
        let of_typescript = [".ts", ".mts", ".cts", ".tsx", ".jsx"].contains(&extension);
        let version = self.plan.interpreter_version.as_deref().unwrap_or_default();
        of_typescript.then(|| {
            format!("Node {version} does not run {extension} files ({})", self.shown(Path::new(file)))
        })
    }

    /// TypeScript in `node_modules`: a package of the workspace that was copied there, or one that
    /// was published so.
    fn of_a_package(&self) -> Option<String> {
        if !self.has("ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING") {
            return None;
        }
        let url = self.between("for files under node_modules, for \"", "\"")?;
        let file = url::Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
        let shown = file.map_or_else(|| url.to_owned(), |file| self.shown(&file));
        Some(format!("{shown} is TypeScript, which Node does not run in node_modules"))
    }

    fn decorator(&self) -> Option<String> {
        let at =
            self.tail.iter().position(|line| line.contains("SyntaxError: Invalid or unexpected token"))?;
        let source = self.tail[..at].iter().rev().find(|line| line.trim_start().starts_with('@'))?;
        self.place()?;
        // Its name alone: its arguments, and what follows, may hold a secret.
        let name = source.trim().split(|c: char| c == '(' || c.is_whitespace()).next().unwrap_or_default();
        Some(format!("Node does not run decorators: {name}{}", self.at()))
    }

    /// A package whose folder is there, and whose files are not: an installation that was cut
    /// short.
    fn broken_package(&self) -> Option<String> {
        let file = self
            .between("Cannot find package '/", "'")
            .or_else(|| self.between("Cannot find module '/", "'"))?;
        let (before, inside) = file.rsplit_once("node_modules/")?;
        Some(format!(
            "the installation of {} is not whole: run `rm -rf node_modules && {}` in /{}",
            package_of(inside),
            manifest::install_command(self.manager()),
            before.trim_end_matches('/')
        ))
    }

    /// A package that is not there.
    fn missing_package(&self) -> Option<String> {
        let specifier = self
            .between("Cannot find package '", "'")
            .or_else(|| self.between("Cannot find module '", "'"))
            .filter(|specifier| !specifier.starts_with(['.', '/', '#']) && !specifier.starts_with("file:"))?;
        let package = package_of(specifier);
        let dir = self.plan.project_dir.display();
        let manager = self.manager();
        let on_node_path = self
            .plan
            .var("NODE_PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join(package).is_dir()));
        if on_node_path && self.has("ERR_MODULE_NOT_FOUND") {
            return Some(format!(
                "{package} is in NODE_PATH, which `require()` reads and `import` does not: run `{}` in {dir}",
                manifest::add_command(manager, package)
            ));
        }
        let declared = self.manifests.iter().any(|manifest| manifest.declares(package).is_some());
        let command = match declared {
            true => manifest::install_command(manager),
            false => manifest::add_command(manager, package),
        };
        Some(format!("run `{command}` in {dir}"))
    }

    /// An ES module that Node takes for CommonJS.
    fn module_kind(&self) -> Option<String> {
        let words = ["Cannot use import statement outside a module", "Unexpected token 'export'"];
        words.iter().any(|words| self.has(words)).then(|| {
            format!(
                "its files are ES modules, and package.json does not say so: run `npm pkg set type=module` in {}",
                self.plan.project_dir.display()
            )
        })
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// The file that an import without its real extension means.
fn source_of(missing: &Path) -> Option<PathBuf> {
    let extensions = match missing.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "jsx") => ["ts", "tsx"].as_slice(),
        Some("mjs") => &["mts"],
        Some("cjs") => &["cts"],
        _ => {
            let appended = ["ts", "tsx", "mts", "cts", "js"].into_iter();
            let appended =
                appended.map(|extension| PathBuf::from(format!("{}.{extension}", missing.display())));
            let index = ["index.ts", "index.tsx", "index.js"].into_iter().map(|name| missing.join(name));
            return appended.chain(index).find(|file| file.is_file());
        }
    };
    extensions.iter().map(|extension| missing.with_extension(extension)).find(|file| file.is_file())
}

/// Whether a specifier is one of the configuration's `paths`, or lies below its `baseUrl`. Node's
/// errors name the package alone, `lib` for `lib/cup`.
fn is_alias(config: &Path, specifier: &str, depth: u8) -> bool {
    let read = |text: String| serde_json::from_str::<Value>(&without_comments(&text)).ok();
    let Some(value) = std::fs::read_to_string(config).ok().and_then(read) else { return false };
    let folder = config.parent().unwrap_or(config);
    let options = &value["compilerOptions"];
    let matches = |pattern: &String| match pattern.split_once('*') {
        // `*` alone is each package too.
        Some(("", _)) => false,
        Some((prefix, _)) => specifier.starts_with(prefix) || format!("{specifier}/") == prefix,
        None => pattern == specifier || pattern.starts_with(&format!("{specifier}/")),
    };
    if options["paths"].as_object().is_some_and(|paths| paths.keys().any(matches)) {
        return true;
    }
    if let Some(base) = options["baseUrl"].as_str() {
        let named = folder.join(base).join(specifier);
        if named.is_dir() || source_of(&named).is_some() {
            return true;
        }
    }
    let extends = match &value["extends"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let relative = extends.into_iter().filter(|path| path.starts_with('.'));
    depth > 0 && relative.map(|path| folder.join(path)).any(|config| is_alias(&config, specifier, depth - 1))
}
