//! Commands of `package.json` scripts and `deno.json` tasks, as far as they run a JavaScript file.

use std::path::{Component, Path, PathBuf};

/// Programs that run the file that follows them.
const RUNNERS: &[&str] = &[
    "node",
    "tsx",
    "ts-node",
    "ts-node-esm",
    "ts-node-script",
    "ts-node-transpile-only",
    "ts-node-dev",
    "tsnd",
    "bun",
    "deno",
    "vite-node",
    "esno",
    "jiti",
    "swc-node",
    "babel-node",
    "sucrase-node",
    "tsimp",
];

/// Flags that a debugger, a profiler or a watcher needs. They change how a program is observed, not
/// how it runs.
const OBSERVERS: &[&str] = &[
    "--inspect",
    "--debug",
    "--watch",
    "--hot",
    "--cpu-prof",
    "--heap-prof",
    "--prof",
    "--respawn",
    "--clear",
    "--cls",
    "--no-clear",
    "--clear-screen",
    "--no-clear-screen",
    "--exit-child",
    "--rs",
    "--poll",
];

/// Whether a program is one of those that run files on top of a runtime, by its name.
pub(super) fn is_runner(program: &Path) -> bool {
    let name = program.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    !["node", "bun", "deno"].contains(&name) && RUNNERS.contains(&name)
}

/// How a script runs a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runner {
    /// The name of the program: one of a known list.
    pub(super) program: String,
    /// What stands between the program and the file, without a subcommand such as `run` or `watch`.
    pub(super) flags: Vec<String>,
    /// The file, relative to the folder of the script.
    pub(super) file: PathBuf,
    /// Variables that the script sets for it.
    pub(super) env: Vec<(String, String)>,
}

impl Runner {
    /// That program with no flags.
    pub(super) fn plain(program: &str, file: &Path) -> Self {
        Self { program: program.to_owned(), flags: Vec::new(), file: file.to_owned(), env: Vec::new() }
    }

    /// The runners of a script's commands, in their order.
    pub(super) fn of(script: &str) -> Vec<Self> {
        commands(script).iter().filter_map(|words| Self::of_command(words)).collect()
    }

    /// Whether it runs that file, when the script is of that folder. A script may leave out the
    /// extension.
    pub(super) fn runs(&self, file: &Path, folder: &Path) -> bool {
        let named = normal(&folder.join(&self.file));
        named == file || named == file.with_extension("")
    }

    fn of_command(words: &[String]) -> Option<Self> {
        let mut env = Vec::new();
        let mut words = words;
        loop {
            let (first, rest) = words.split_first()?;
            if let Some((name, value)) = assignment(first) {
                // A reference to another variable is the shell's to resolve.
                if !value.contains('$') {
                    env.push((name.to_owned(), value.to_owned()));
                }
                words = rest;
                continue;
            }
            match first.as_str() {
                "env" | "cross-env" | "cross-env-shell" | "exec" | "npx" | "bunx" | "pnpx" | "time" => {
                    words = without_flags(rest);
                }
                "npm" | "pnpm" | "yarn" | "bun" if starts_with(rest, &["exec", "x", "dlx"]) => {
                    words = without_flags(&rest[1..]);
                }
                "pnpm" | "yarn" if starts_with(rest, RUNNERS) => words = rest,
                "nodemon" => return Self::of_nodemon(rest),
                _ => break,
            }
        }
        let program = words[0].rsplit(['/', '\\']).next().unwrap_or_default();
        let program = program.strip_suffix(".cmd").unwrap_or(program);
        if !RUNNERS.contains(&program) {
            // `dotenvx run -- tsx main.ts`, `doppler run -- node main.js`.
            let end = words.iter().position(|word| word == "--")?;
            let mut runner = Self::of_command(&words[end + 1..])?;
            env.append(&mut runner.env);
            return Some(Self { env, ..runner });
        }
        let (flags, file) = flags_and_file(program, &words[1..])?;
        Some(Self { program: program.to_owned(), flags, file: file.into(), env })
    }

    /// `nodemon --watch src --exec 'tsx main.ts'`, or a file that node runs.
    fn of_nodemon(words: &[String]) -> Option<Self> {
        let exec = words.iter().position(|word| word == "--exec" || word == "-x");
        if let Some(at) = exec {
            let mut line = words.get(at + 1)?.clone();
            // The file may follow nodemon's own flags.
            for word in &words[at + 2..] {
                line = format!("{line} {word}");
            }
            return Self::of(&line).into_iter().next();
        }
        let file = words.iter().find(|word| is_source(word))?;
        Some(Self::plain("node", Path::new(file)))
    }
}

fn starts_with(words: &[String], any: &[&str]) -> bool {
    words.first().is_some_and(|word| any.contains(&word.as_str()))
}

/// `NAME=value`, as a shell takes it before a command.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// What follows a wrapper's own flags. `-p PACKAGE` of npx has a value.
fn without_flags(mut words: &[String]) -> &[String] {
    while let Some((first, rest)) = words.split_first() {
        if !first.starts_with('-') {
            break;
        }
        let takes_value = matches!(first.as_str(), "-p" | "--package" | "-w" | "--workspace");
        words = if takes_value { rest.get(1..).unwrap_or_default() } else { rest };
    }
    words
}

/// Splits what follows the program into its flags and the file that it runs.
fn flags_and_file(program: &str, words: &[String]) -> Option<(Vec<String>, String)> {
    let subcommands: &[&str] = match program {
        "tsx" | "vite-node" => &["watch"],
        "bun" | "deno" => &["run"],
        _ => &[],
    };
    let mut flags = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        if subcommands.contains(&word.as_str()) {
            continue;
        }
        if word == "--" {
            return words.get(at).map(|file| (flags, file.clone()));
        }
        if !word.starts_with('-') {
            // Other subcommands, such as `deno task` and `bun install`, run no file.
            return is_source_or_plain(word).then(|| (flags, word.clone()));
        }
        let value = takes_value(program, word).then(|| words.get(at)).flatten();
        at += usize::from(value.is_some());
        if !is_observer(word) {
            flags.push(word.clone());
            flags.extend(value.cloned());
        }
    }
    None
}

/// Whether a flag only observes the program.
pub(super) fn is_observer(flag: &str) -> bool {
    OBSERVERS.iter().any(|observer| {
        flag.strip_prefix(observer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '-']))
    })
}

/// Whether the word after this flag is its value.
fn takes_value(program: &str, flag: &str) -> bool {
    const OF_NODE: &[&str] = &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "-C",
        "--conditions",
        "--env-file",
        "--env-file-if-exists",
        "--watch-path",
        "--tsconfig",
    ];
    const OF_TS_NODE: &[&str] = &[
        "-r",
        "--require",
        "-P",
        "--project",
        "-C",
        "--compiler",
        "-O",
        "--compiler-options",
        "-I",
        "--ignore",
        "-D",
        "--ignore-diagnostics",
        "--cwd",
        "--dir",
        "--loader",
    ];
    const OF_BUN: &[&str] = &[
        "-r",
        "--preload",
        "--require",
        "--import",
        "--env-file",
        "--conditions",
        "--tsconfig-override",
        "--cwd",
        "-d",
        "--define",
        "-l",
        "--loader",
    ];
    const OF_DENO: &[&str] =
        &["-c", "--config", "--import-map", "--cert", "--location", "--seed", "--preload", "--lock"];
    let flags = match program {
        "bun" => OF_BUN,
        "deno" => OF_DENO,
        name if name.starts_with("ts-node") || name == "tsnd" => OF_TS_NODE,
        _ => OF_NODE,
    };
    flags.contains(&flag)
}

/// Whether a word names a file that a JavaScript runtime reads.
fn is_source(word: &str) -> bool {
    const EXTENSIONS: &[&str] = &["js", "mjs", "cjs", "ts", "mts", "cts", "jsx", "tsx"];
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// Whether a word may name a file: with an extension, or a path.
fn is_source_or_plain(word: &str) -> bool {
    is_source(word) || word.contains('/')
}

/// Resolves `.` and `..` by the text alone, as the two paths to compare may not exist.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// The simple commands of a shell line, each as its words. Quotes and backslashes are resolved,
/// variables are not.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')') => {
                finish(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => finish(&mut word, &mut commands),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    finish(&mut word, &mut commands);
    commands.retain(|words| !words.is_empty());
    commands
}

fn finish(word: &mut Option<String>, commands: &mut [Vec<String>]) {
    if let (Some(word), Some(last)) = (word.take(), commands.last_mut()) {
        last.push(word);
    }
}

/// The words of `NODE_OPTIONS`: separated by blanks, with double quotes and backslashes in them.
pub(super) fn node_options(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Runner, node_options};

    /// The program with its variables, its flags and the file, in one line.
    fn shown(script: &str) -> String {
        let shown = |runner: Runner| {
            let env = runner.env.iter().map(|(name, value)| format!("{name}={value}"));
            let words = env.chain([runner.program]).chain(runner.flags);
            let words: Vec<_> = words.chain([format!("<{}>", runner.file.display())]).collect();
            words.join(" ")
        };
        Runner::of(script).into_iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn script_runner_is_read_with_its_flags_and_file() {
        for (script, expected) in [
            ("tsx src/main.ts dev", "tsx <src/main.ts>"),
            ("tsx watch --clear-screen=false src/main.ts dev", "tsx <src/main.ts>"),
            (
                "tsx --tsconfig tsconfig.agent.json ./src/main.ts",
                "tsx --tsconfig tsconfig.agent.json <./src/main.ts>",
            ),
            ("node --import tsx src/main.ts dev", "node --import tsx <src/main.ts>"),
            ("node --watch --inspect=9230 --env-file=.env agent.js start", "node --env-file=.env <agent.js>"),
            (
                "node -r ts-node/register -r tsconfig-paths/register src/a.ts",
                "node -r ts-node/register -r tsconfig-paths/register <src/a.ts>",
            ),
            ("node --loader ts-node/esm src/main.ts", "node --loader ts-node/esm <src/main.ts>"),
            ("ts-node-esm -P tsconfig.json src/main.ts dev", "ts-node-esm -P tsconfig.json <src/main.ts>"),
            ("ts-node --esm src/main.ts", "ts-node --esm <src/main.ts>"),
            ("tsnd --respawn --transpile-only src/main.ts", "tsnd --transpile-only <src/main.ts>"),
            ("bun run src/main.ts", "bun <src/main.ts>"),
            ("bun --hot src/main.ts dev", "bun <src/main.ts>"),
            ("deno run -A --env-file src/main.ts dev", "deno -A --env-file <src/main.ts>"),
            ("deno run -A -c deno.dev.json main.ts", "deno -A -c deno.dev.json <main.ts>"),
            ("NODE_OPTIONS='--import tsx' node src/main.ts", "NODE_OPTIONS=--import tsx node <src/main.ts>"),
            ("cross-env NODE_ENV=test tsx src/main.ts", "NODE_ENV=test tsx <src/main.ts>"),
            ("KEY=$OTHER tsx src/main.ts", "tsx <src/main.ts>"),
            ("npx -y tsx src/main.ts dev", "tsx <src/main.ts>"),
            ("npx -p tsx tsx src/main.ts dev", "tsx <src/main.ts>"),
            ("pnpm exec tsx src/main.ts", "tsx <src/main.ts>"),
            ("pnpm tsx src/main.ts", "tsx <src/main.ts>"),
            ("yarn node --import tsx src/main.ts", "node --import tsx <src/main.ts>"),
            ("./node_modules/.bin/tsx src/main.ts", "tsx <src/main.ts>"),
            ("dotenv -e .env.local -- tsx src/main.ts", "tsx <src/main.ts>"),
            ("doppler run -- node dist/main.js start", "node <dist/main.js>"),
            ("nodemon --watch src --exec 'tsx src/main.ts dev'", "tsx <src/main.ts>"),
            ("nodemon --exec tsx src/main.ts", "tsx <src/main.ts>"),
            ("nodemon src/main.js", "node <src/main.js>"),
            ("tsc && node dist/main.js dev", "node <dist/main.js>"),
            ("npm run build; node dist/main.js", "node <dist/main.js>"),
            ("tsc -p .&&node 'dist/my agent.js'", "node <dist/my agent.js>"),
            ("vite-node src/main.ts -- dev", "vite-node <src/main.ts>"),
            ("node dist/main", "node <dist/main>"),
            ("bun install", ""),
            ("deno task dev", ""),
            ("next dev", ""),
            ("", ""),
            ("tsx 'open", ""),
        ] {
            assert_eq!(shown(script), expected, "{script}");
        }
    }

    #[test]
    fn runner_recognises_its_file_by_path_with_or_without_extension() {
        let runs = |script: &str, file: &str| {
            Runner::of(script).iter().any(|runner| runner.runs(Path::new(file), Path::new("/p/app")))
        };
        assert!(runs("tsx ./src/../src/main.ts", "/p/app/src/main.ts"));
        assert!(runs("node dist/main", "/p/app/dist/main.js"));
        assert!(runs("tsx ../other/main.ts", "/p/other/main.ts"));
        assert!(!runs("tsx src/other.ts", "/p/app/src/main.ts"));
    }

    #[test]
    fn node_options_are_split_as_node_does() {
        assert_eq!(node_options("--import tsx  --no-warnings"), ["--import", "tsx", "--no-warnings"]);
        assert_eq!(
            node_options(r#"--require "./a b.js" --import="x\"y""#),
            ["--require", "./a b.js", r#"--import=x"y"#]
        );
        assert_eq!(node_options("  "), Vec::<String>::new());
    }
}
