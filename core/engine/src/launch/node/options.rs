//! Options for Node: what they load, and how the flags of tsx, ts-node and Deno become options.

pub(super) const STRIP_FLAG: &str = "--experimental-strip-types";

/// What among Node's options makes it read TypeScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loader {
    Known,
    /// A module of the project's own, or one that is not known: it may.
    Unknown,
}

pub(super) fn loader(options: &[String]) -> Option<Loader> {
    let mut found = None;
    for module in preloaded(options) {
        if loader_name(std::slice::from_ref(&module)).is_some() {
            return Some(Loader::Known);
        }
        if !only_observes(&module) {
            found = Some(Loader::Unknown);
        }
    }
    let strips = |option: &String| [STRIP_FLAG, "--experimental-transform-types"].contains(&option.as_str());
    if options.iter().any(strips) { Some(Loader::Known) } else { found }
}

/// The modules that options make Node load first.
fn preloaded(options: &[String]) -> Vec<String> {
    const FLAGS: &[&str] = &["--import", "--loader", "--experimental-loader", "--require", "-r"];
    let mut modules = Vec::new();
    for (at, option) in options.iter().enumerate() {
        match option.split_once('=') {
            Some((flag, module)) if FLAGS.contains(&flag) => modules.push(module.to_owned()),
            // A flag without its module: Node itself says so.
            None if FLAGS.contains(&option.as_str()) => {
                modules.push(options.get(at + 1).cloned().unwrap_or_default())
            }
            // What a runtime says of itself.
            _ if option == "ts-node" => modules.push(option.clone()),
            _ => {}
        }
    }
    modules
}

/// The loader of TypeScript that is named in one of these options.
pub(super) fn loader_name(options: &[String]) -> Option<&'static str> {
    let named = |name: &str, option: &String| {
        option == name
            || option.starts_with(&format!("{name}/"))
            || option.contains(&format!("/{name}/"))
            || option.ends_with(&format!("={name}"))
            || option.contains(&format!("={name}/"))
    };
    const NAMES: &[&str] = &[
        "tsx",
        "ts-node",
        "@swc-node",
        "@swc/register",
        "@oxc-node",
        "esbuild-register",
        "sucrase",
        "jiti",
        "@babel/register",
        "tsimp",
        "ts-blank-space",
    ];
    NAMES.iter().find(|name| options.iter().any(|option| named(name, option))).copied()
}

/// Whether a module from a `data:` url can be loaded first: hooks of `--loader` see it, and those that are not known may
/// fail at it.
pub(super) fn takes_data(options: &[String]) -> bool {
    const FLAGS: &[&str] = &["--loader", "--experimental-loader"];
    options.iter().enumerate().all(|(at, option)| {
        let module = match option.split_once('=') {
            Some((flag, module)) if FLAGS.contains(&flag) => module,
            None if FLAGS.contains(&option.as_str()) => options.get(at + 1).map_or("", String::as_str),
            _ => return true,
        };
        module == "ts-node/esm" || module.ends_with(".pnp.loader.mjs")
    })
}

/// Well-known modules that are preloaded for other reasons than TypeScript.
fn only_observes(module: &str) -> bool {
    const PARTS: &[&str] = &[
        ".pnp.",
        "dotenv",
        "dd-trace",
        "newrelic",
        "sentry",
        "opentelemetry",
        "source-map-support",
        "elastic-apm",
        "tsconfig-paths",
        "appdynamics",
        "vscode",
        "js-debug",
    ];
    PARTS.iter().any(|part| module.contains(part))
}

/// tsx's own flags as what its loader reads; the others are Node's.
pub(super) fn tsx_flags(flags: &[String], env: &mut Vec<(String, String)>) -> Vec<String> {
    let mut rest = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match flag.as_str() {
            "--tsconfig" => {
                env.extend(flags.next().map(|file| ("TSX_TSCONFIG_PATH".to_owned(), file.clone())))
            }
            "--no-cache" => env.push(("TSX_DISABLE_CACHE".to_owned(), "1".to_owned())),
            _ => match flag.strip_prefix("--tsconfig=") {
                Some(file) => env.push(("TSX_TSCONFIG_PATH".to_owned(), file.to_owned())),
                None => rest.push(flag.clone()),
            },
        }
    }
    rest
}

/// ts-node's programs and flags as what its hooks read. Its programs for ES modules run none on
/// Node 20 and newer; its hooks do.
pub(super) fn ts_node_flags(program: &str, flags: &[String], env: &mut Vec<(String, String)>) -> Vec<String> {
    let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
    if program == "ts-node-transpile-only" {
        set("TS_NODE_TRANSPILE_ONLY", "true");
    }
    let mut rest = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (name, inline) =
            flag.split_once('=').map_or((flag.as_str(), None), |(name, value)| (name, Some(value)));
        let mut value = || inline.or_else(|| flags.next().map(String::as_str)).unwrap_or_default().to_owned();
        match name {
            "-P" | "--project" => set("TS_NODE_PROJECT", &value()),
            "-T" | "--transpile-only" | "--transpileOnly" => set("TS_NODE_TRANSPILE_ONLY", "true"),
            "--files" => set("TS_NODE_FILES", "true"),
            "--swc" => set("TS_NODE_SWC", "true"),
            "-O" | "--compiler-options" => set("TS_NODE_COMPILER_OPTIONS", &value()),
            "-I" | "--ignore" => set("TS_NODE_IGNORE", &value()),
            "-D" | "--ignore-diagnostics" => set("TS_NODE_IGNORE_DIAGNOSTICS", &value()),
            "-C" | "--compiler" => set("TS_NODE_COMPILER", &value()),
            "--cwd" | "--dir" => set("TS_NODE_CWD", &value()),
            "-r" | "--require" => rest.extend(["--require".to_owned(), value()]),
            "--prefer-ts-exts" => set("TS_NODE_PREFER_TS_EXTS", "true"),
            "--experimental-specifier-resolution" => {
                set("TS_NODE_EXPERIMENTAL_SPECIFIER_RESOLUTION", &value());
            }
            // What is left is of its watcher.
            _ => {}
        }
    }
    [vec!["--require".to_owned(), "ts-node/register".to_owned()], rest].concat()
}

pub(super) fn deno_flags(flags: &[String]) -> Vec<String> {
    [vec!["run".to_owned()], flags.to_vec()].concat()
}
