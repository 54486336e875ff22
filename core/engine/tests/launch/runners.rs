//! How a JavaScript project says that it is run, and what is run then.

use std::time::Duration;

use greenroom_engine::launch::{AgentSpec, LaunchError, Origin, Plan};
use greenroom_protocol::Code;

use crate::stage::{LONG, Machine};

const ADDRESS: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4321);

/// What Deno 2.9 prints for what a Node would answer; the rest is as its command line has it.
const DENO: &str = "case $1 in \
    -e) echo \"error: unexpected argument '-e' found\" >&2; exit 1 ;; \
    --version) printf 'deno 2.9.6 (stable, release, x86_64-unknown-linux-gnu)\\nv8 15.0.245.1-rusty\\ntypescript 5.9.2\\n' ;; \
    eval) echo 'greenroom-node={\"engine\":\"deno\",\"version\":\"2.9.6\",\"node\":\"24.2.0\"}' ;; \
    esac";

/// What Bun 1.4 answers.
const BUN: &str = "echo 'greenroom-node={\"engine\":\"bun\",\"version\":\"1.4.4\",\"node\":\"24.3.0\"}'";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.file(
        "work/node_modules/@livekit/agents/package.json",
        r#"{"name": "@livekit/agents", "version": "1.9.0"}"#,
    );
    machine.file("work/src/main.ts", "");
    machine
}

fn package(machine: &Machine, name: &str) {
    machine.file(&format!("work/node_modules/{name}/package.json"), &format!("{{\"name\": \"{name}\"}}"));
    machine.program(&format!("work/node_modules/.bin/{name}"), "echo v1.2.3");
}

fn scripts(machine: &Machine, scripts: &str) {
    machine.file("work/package.json", &format!("{{\"scripts\": {scripts}}}"));
}

async fn plan(spec: &AgentSpec) -> Plan {
    match Plan::detect(spec, LONG).await {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    }
}

/// The arguments before the file.
async fn flags(spec: &AgentSpec) -> String {
    let argv = plan(spec).await.argv(ADDRESS);
    let words: Vec<_> = argv.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let before = words.iter().take_while(|word| *word != "console");
    let before: Vec<_> = before.map(String::as_str).collect();
    before[..before.len() - 1].join(" ")
}

async fn refused(spec: &AgentSpec, code: Code, words: &[&str]) -> LaunchError {
    let error = Plan::detect(spec, LONG).await.expect_err("it has to be refused");
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    error
}

#[tokio::test]
async fn typescript_with_a_script_is_run_as_the_script_runs_it() {
    let machine = machine();
    machine.node("v24.1.0");
    package(&machine, "tsx");
    package(&machine, "ts-node");
    for (script, expected) in [
        ("tsx src/main.ts dev", "--import tsx"),
        ("tsx watch --env-file=.env ./src/main.ts dev", "--import tsx --env-file=.env"),
        ("npx tsx src/main.ts dev", "--import tsx"),
        ("node --import tsx --inspect src/main.ts dev", "--import tsx"),
        ("node --env-file .env src/main.ts dev", "--env-file .env"),
        ("node -r ts-node/register src/main.ts", "-r ts-node/register --experimental-loader ts-node/esm"),
        (
            "ts-node --transpile-only src/main.ts",
            "--require ts-node/register --experimental-loader ts-node/esm",
        ),
        ("ts-node-esm src/main.ts dev", "--require ts-node/register --experimental-loader ts-node/esm"),
        ("ts-node --esm src/main.ts dev", "--require ts-node/register --experimental-loader ts-node/esm"),
        ("tsc && node dist/main.js dev", ""),
    ] {
        scripts(&machine, &format!("{{\"dev\": {script:?}}}"));
        assert_eq!(flags(&machine.spec()).await, expected, "{script}");
    }
}

#[tokio::test]
async fn runner_and_its_source_are_said_at_the_start() {
    let machine = machine();
    machine.node("v24.1.0");
    assert!(plan(&machine.spec()).await.describe().ends_with(')'), "Node alone is not worth a word");
    package(&machine, "tsx");
    scripts(&machine, r#"{"start": "tsx src/main.ts start"}"#);
    let said = plan(&machine.spec()).await.describe();
    assert!(said.ends_with(", run by tsx (script \"start\" of package.json)"), "{said}");
    machine.file("work/package.json", r#"{"devDependencies": {"tsx": "^4"}}"#);
    let said = plan(&machine.spec()).await.describe();
    assert!(said.ends_with(", run by tsx (devDependencies of package.json)"), "{said}");
    scripts(&machine, r#"{"start": "node --env-file=.env src/main.ts start"}"#);
    let said = plan(&machine.spec()).await.describe();
    assert!(said.ends_with(", run by Node with the flags of script \"start\" of package.json"), "{said}");
}

#[tokio::test]
async fn script_for_this_file_counts_more_than_another_and_a_dependency_less() {
    let machine = machine();
    machine.node("v24.1.0");
    package(&machine, "tsx");
    package(&machine, "vite-node");
    machine.file("work/src/other.ts", "");
    machine.file(
        "work/package.json",
        r#"{"devDependencies": {"tsx": "4"}, "scripts": {"dev": "node src/other.ts", "agent": "vite-node src/main.ts"}}"#,
    );
    let of_file = plan(&machine.spec()).await;
    assert_eq!(of_file.origin, Origin::Runner);
    assert_eq!(of_file.program, machine.path("work/node_modules/.bin/vite-node"));
    assert!(of_file.describe().ends_with(", run by vite-node (script \"agent\" of package.json)"));
    let other = AgentSpec { entry: Some("src/other.ts".into()), ..machine.spec() };
    assert_eq!(flags(&other).await, "", "its own script runs it with node alone");
    machine.file("work/src/third.ts", "");
    let third = AgentSpec { entry: Some("src/third.ts".into()), ..machine.spec() };
    assert_eq!(plan(&third).await.origin, Origin::Runner, "as the project runs TypeScript");
}

#[tokio::test]
async fn script_variables_reach_the_agent_unless_the_caller_sets_them() {
    let machine = machine();
    machine.node("v24.1.0");
    package(&machine, "tsx");
    scripts(&machine, r#"{"dev": "NODE_ENV=development tsx --tsconfig tsconfig.dev.json src/main.ts"}"#);
    let mut spec = machine.spec();
    let env = plan(&spec).await.env;
    let last = |env: &[(String, String)], name: &str| {
        env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    assert_eq!(last(&env, "NODE_ENV").as_deref(), Some("development"));
    assert_eq!(last(&env, "TSX_TSCONFIG_PATH").as_deref(), Some("tsconfig.dev.json"));
    spec.env.push(("NODE_ENV".to_owned(), "test".to_owned()));
    assert_eq!(last(&plan(&spec).await.env, "NODE_ENV").as_deref(), Some("test"));
}

#[tokio::test]
async fn runner_of_the_workspace_root_serves_its_members() {
    let machine = Machine::new();
    machine.node("v20.20.2");
    machine.file(
        "work/node_modules/@livekit/agents/package.json",
        r#"{"name": "@livekit/agents", "version": "1.9.0"}"#,
    );
    machine.file("work/package.json", r#"{"devDependencies": {"tsx": "4"}}"#);
    package(&machine, "tsx");
    machine.file("work/apps/agent/package.json", r#"{"dependencies": {"@livekit/agents": "1"}}"#);
    machine.file("work/apps/agent/src/main.ts", "");
    let spec = AgentSpec { dir: machine.path("work/apps/agent"), ..machine.spec() };
    assert_eq!(flags(&spec).await, "--import tsx");
    assert_eq!(plan(&spec).await.project_dir, machine.path("work/apps/agent"));
}

#[tokio::test]
async fn runner_that_is_declared_and_not_installed_is_named_with_the_fix() {
    let machine = machine();
    machine.node("v24.1.0");
    machine.file(
        "work/package.json",
        r#"{"devDependencies": {"tsx": "4"}, "scripts": {"dev": "tsx src/main.ts"}}"#,
    );
    let words =
        ["tsx, with which script \"dev\" of package.json runs it, is not installed", "run `npm install` in"];
    refused(&machine.spec(), Code::InterpreterNotFound, &words).await;
    machine.file("work/pnpm-lock.yaml", "");
    refused(&machine.spec(), Code::InterpreterNotFound, &["run `pnpm install` in"]).await;
    // `npx tsx` fetches it: where Node can take its place, it does.
    scripts(&machine, r#"{"dev": "npx tsx src/main.ts dev"}"#);
    assert_eq!(flags(&machine.spec()).await, "");
    machine.node("v20.20.2");
    let words = [
        "main.ts is TypeScript, which Node 20.20.2 cannot run",
        "tsx",
        "is not installed",
        "pnpm add -D tsx",
    ];
    refused(&machine.spec(), Code::InterpreterNotFound, &words).await;
}

#[tokio::test]
async fn bun_and_deno_scripts_run_by_bun_and_deno_or_name_them() {
    let machine = machine();
    machine.node("v24.1.0");
    scripts(&machine, r#"{"dev": "bun run src/main.ts dev"}"#);
    refused(&machine.spec(), Code::InterpreterNotFound, &["bun, with which script \"dev\"", "npm i -D bun"])
        .await;
    machine.program("bin/bun", BUN);
    let by_bun = plan(&machine.spec()).await;
    assert_eq!((by_bun.origin, by_bun.program.clone()), (Origin::Runner, machine.path("bin/bun")));
    assert!(
        by_bun.describe().ends_with("run by Bun 1.4.4 (script \"dev\" of package.json)"),
        "{}",
        by_bun.describe()
    );
    assert_eq!(flags(&machine.spec()).await, "");

    scripts(&machine, r#"{"dev": "deno run -A --env-file src/main.ts dev"}"#);
    refused(&machine.spec(), Code::InterpreterNotFound, &["deno, with which script", "npm i -D deno"]).await;
    machine.program("work/node_modules/.bin/deno", DENO);
    assert_eq!(flags(&machine.spec()).await, "run -A --env-file");
    assert_eq!(plan(&machine.spec()).await.interpreter_version.as_deref(), Some("2.9.6"));
}

#[tokio::test]
async fn named_runtime_is_recognised_by_what_it_answers() {
    let machine = machine();
    let electron = "[ \"$ELECTRON_RUN_AS_NODE\" = 1 ] || exit 1; \
        echo 'greenroom-node={\"engine\":\"electron\",\"version\":\"40.1.0\",\"node\":\"24.9.0\"}'";
    machine.program("bin/deno", DENO);
    machine.program("bin/bun", BUN);
    machine.program("bin/electron", electron);
    let named = |name: &str, args: &[&str]| AgentSpec {
        interpreter: Some(name.into()),
        args: args.iter().map(ToString::to_string).collect(),
        ..machine.spec()
    };
    for (args, expected) in [
        ([].as_slice(), "run -A"),
        (&["run", "-A"], "run -A"),
        (&["-A"], "run -A"),
        (&["--allow-net"], "run --allow-net"),
        (&["run", "--allow-all"], "run --allow-all"),
    ] {
        assert_eq!(flags(&named("deno", args)).await, expected, "{args:?}");
    }
    let by_deno = plan(&named("deno", &[])).await;
    assert!(by_deno.describe().ends_with(", run by Deno 2.9.6"), "{}", by_deno.describe());
    assert_eq!(flags(&named("bun", &["--smol"])).await, "--smol");
    let by_electron = plan(&named("electron", &[])).await;
    assert!(by_electron.env.contains(&("ELECTRON_RUN_AS_NODE".to_owned(), "1".to_owned())));
    assert!(by_electron.describe().ends_with(", run by Electron 40.1.0"), "{}", by_electron.describe());
    let words = ["deno run -A", "`--node deno -- run -A`"];
    refused(&named("deno run -A", &[]), Code::InterpreterNotFound, &words).await;
    refused(&named("tsx", &[]), Code::InterpreterNotFound, &["tsx is not on PATH", "npm i -D tsx"]).await;
    machine.node("v24.1.0");
    package(&machine, "tsx");
    assert_eq!(flags(&named("tsx", &[])).await, "--import tsx");
}

#[tokio::test]
async fn named_node_keeps_the_flags_of_the_project() {
    let machine = machine();
    let node = machine.program("other/node", "echo v24.1.0");
    package(&machine, "tsx");
    scripts(&machine, r#"{"dev": "tsx --env-file=.env src/main.ts"}"#);
    let spec = AgentSpec { interpreter: Some(node.clone()), ..machine.spec() };
    let named = plan(&spec).await;
    assert_eq!((named.origin, &named.program), (Origin::Given, &node));
    assert_eq!(flags(&spec).await, "--import tsx --env-file=.env");
    let own = AgentSpec { args: vec!["--import=tsx".to_owned()], ..spec };
    assert_eq!(flags(&own).await, "--import=tsx", "a loader of the caller's own is the only one");
}

#[tokio::test]
async fn loader_in_node_options_runs_typescript_on_an_old_node() {
    let machine = machine();
    machine.node("v20.20.2");
    let mut spec = machine.spec();
    spec.env.push(("NODE_OPTIONS".to_owned(), "--import tsx".to_owned()));
    assert!(plan(&spec).await.has_loader);
    spec.env.push(("NODE_OPTIONS".to_owned(), "--require dd-trace/init --max-old-space-size=512".to_owned()));
    refused(&spec, Code::InterpreterNotFound, &["main.ts is TypeScript", "npm i -D tsx"]).await;
}

#[tokio::test]
async fn deno_project_needs_no_folder_of_packages() {
    let machine = Machine::new();
    machine.file("work/src/main.ts", "import { cli } from '@livekit/agents';");
    machine.file(
        "work/deno.jsonc",
        "{ // Deno's\n \"imports\": {\"@livekit/agents\": \"npm:@livekit/agents@^1.9\",}, }",
    );
    let words = ["deno, with which deno.jsonc runs it, is not installed", "--node PATH"];
    refused(&machine.spec(), Code::InterpreterNotFound, &words).await;
    machine.program("bin/deno", DENO);
    assert_eq!(flags(&machine.spec()).await, "run -A");
    assert_eq!(plan(&machine.spec()).await.sdk_version, "", "not fetched yet");
    machine.file("work/deno.lock", r#"{"version": "5", "npm": {"@livekit/agents@1.9.0_zod@4.6.7": {}}}"#);
    assert_eq!(plan(&machine.spec()).await.sdk_version, "1.9.0");
    machine.file("work/deno.lock", r#"{"version": "5", "npm": {"@livekit/agents@1.2.0": {}}}"#);
    refused(&machine.spec(), Code::SdkTooOld, &["1.2.0", "deno add npm:@livekit/agents@latest"]).await;
    std::fs::remove_file(machine.path("work/deno.lock")).expect("remove");
    machine.file("work/deno.jsonc", "{}");
    refused(&machine.spec(), Code::SdkMissing, &["deno add npm:@livekit/agents"]).await;

    // A configuration of Deno's tools beside packages that npm installed.
    let machine = self::machine();
    machine.node("v24.1.0");
    machine.file("work/deno.json", "{}");
    assert_eq!(flags(&machine.spec()).await, "");

    // A file alone, with its versions in it.
    let machine = Machine::new();
    machine.program("bin/deno", DENO);
    machine.node("v24.1.0");
    machine.file("work/agent.ts", "import { cli } from 'npm:@livekit/agents@1.9.0';");
    assert_eq!(flags(&machine.spec()).await, "run -A");
}

#[tokio::test]
async fn machine_without_node_uses_the_runtime_at_hand() {
    let machine = machine();
    let words = ["no Node was found", "no node, bun or deno on PATH", "--node PATH"];
    refused(&machine.spec(), Code::InterpreterNotFound, &words).await;
    let host = machine.program("host/bun", BUN);
    let spec = AgentSpec { interpreter_hint: Some(host.clone()), ..machine.spec() };
    let by_host = plan(&spec).await;
    assert_eq!((by_host.origin, &by_host.program), (Origin::Host, &host));
    assert!(by_host.describe().contains("run by Bun 1.4.4"), "{}", by_host.describe());
    machine.program("bin/bun", BUN);
    let on_path = plan(&machine.spec()).await;
    assert_eq!(on_path.origin, Origin::Path);
    assert!(
        on_path.describe().ends_with("run by Bun 1.4.4 (there is no node on PATH)"),
        "{}",
        on_path.describe()
    );
    // As `bun --bun` puts itself on PATH. It needs none of the loaders that the project has for
    // Node.
    std::os::unix::fs::symlink(&host, machine.path("bin/node")).expect("a link");
    package(&machine, "tsx");
    scripts(&machine, r#"{"dev": "tsx src/main.ts"}"#);
    assert_eq!(flags(&machine.spec()).await, "");
}

#[tokio::test]
async fn plug_n_play_is_loaded_before_the_agent() {
    let machine = Machine::new();
    machine.program("bin/node", "echo 'greenroom-node={\"engine\":\"node\",\"version\":\"20.20.2\",\"node\":\"20.20.2\",\"sdk\":\"1.9.0\"}'");
    machine.file("work/app/package.json", r#"{"devDependencies": {"tsx": "4"}}"#);
    machine.file("work/app/main.ts", "");
    let pnp = machine.file("work/.pnp.cjs", "");
    let spec = AgentSpec { dir: machine.path("work/app"), ..machine.spec() };
    let first = format!("--require {}", pnp.display());
    assert_eq!(flags(&spec).await, format!("{first} --import tsx"));
    let loader = machine.file("work/.pnp.loader.mjs", "");
    let first = format!("{first} --experimental-loader file://{}", loader.display());
    assert_eq!(flags(&spec).await, format!("{first} --import tsx"));
    let mut within = spec.clone();
    within.env.push(("NODE_OPTIONS".to_owned(), format!("--require {}", pnp.display())));
    assert_eq!(flags(&within).await, "--import tsx", "it is there already, as within `yarn run`");
}

#[tokio::test]
async fn file_that_a_build_makes_is_named_with_the_build() {
    let machine = Machine::new();
    machine.node("v20.20.2");
    machine.file(
        "work/package.json",
        r#"{"scripts": {"build": "tsc", "start": "node dist/index.js start"}, "dependencies": {"@livekit/agents": "1"}}"#,
    );
    let words = ["dist/index.js", "script \"start\" of package.json", "run `npm run build` in"];
    refused(&machine.spec(), Code::EntryNotFound, &words).await;
    let named = AgentSpec { entry: Some("dist/other.js".into()), ..machine.spec() };
    refused(&named, Code::EntryNotFound, &["dist/other.js does not exist", "run `npm run build` in"]).await;
    let source = AgentSpec { entry: Some("src/other.ts".into()), ..machine.spec() };
    let error = refused(&source, Code::EntryNotFound, &["other.ts does not exist"]).await;
    assert!(!error.to_string().contains("build"), "a source is not built: {error}");

    machine.file(
        "work/node_modules/@livekit/agents/package.json",
        r#"{"name": "@livekit/agents", "version": "1.9.0"}"#,
    );
    machine.file("work/src/main.ts", "");
    let words = ["npm i -D tsx", "compile it (`npm run build`) and name dist/index.js"];
    refused(&machine.spec(), Code::InterpreterNotFound, &words).await;
    std::fs::remove_file(machine.path("work/src/main.ts")).expect("remove");
    machine.file("work/dist/index.js", "");
    assert_eq!(
        plan(&machine.spec()).await.entry,
        std::path::Path::new("dist/index.js"),
        "what the script runs"
    );
}

#[tokio::test]
async fn jsx_is_an_agent_file_that_needs_a_runner() {
    let machine = machine();
    machine.node("v24.1.0");
    for name in ["agent.tsx", "agent.jsx"] {
        machine.file(&format!("work/{name}"), "");
        let spec = AgentSpec { entry: Some(name.into()), ..machine.spec() };
        refused(
            &spec,
            Code::InterpreterNotFound,
            &[name, "JSX", "Node 24.1.0", "npm i -D tsx", "--node bun"],
        )
        .await;
    }
    package(&machine, "tsx");
    machine.file("work/package.json", r#"{"devDependencies": {"tsx": "4"}}"#);
    let spec = AgentSpec { entry: Some("agent.tsx".into()), ..machine.spec() };
    assert_eq!(flags(&spec).await, "--import tsx");
}

#[tokio::test]
async fn node_without_typescript_support_is_named() {
    let machine = machine();
    machine.program(
        "bin/node",
        "echo 'greenroom-node={\"engine\":\"node\",\"version\":\"24.1.0\",\"node\":\"24.1.0\",\"typescript\":false}'",
    );
    refused(&machine.spec(), Code::InterpreterNotFound, &["Node 24.1.0, built or configured without it"])
        .await;
}

#[tokio::test]
async fn runtime_that_fails_is_told_with_its_own_words() {
    let machine = machine();
    machine.program(
        "bin/node",
        "echo \"Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'tsx' imported from /p/\" >&2; exit 1",
    );
    let spec = AgentSpec { args: vec!["--import".to_owned(), "tsx".to_owned()], ..machine.spec() };
    let words = ["node …` cannot run JavaScript", "Cannot find package 'tsx'", "npm i -D tsx"];
    refused(&spec, Code::InterpreterNotFound, &words).await;
}

#[tokio::test]
async fn arguments_of_the_person_are_in_no_error_of_a_runtime() {
    let machine = machine();
    machine.program("bin/node", "echo Error: broken >&2; exit 1");
    let spec = AgentSpec { args: vec!["--token=canary-of-the-person".to_owned()], ..machine.spec() };
    let error = refused(&spec, Code::InterpreterNotFound, &["Error: broken"]).await;
    assert!(!format!("{error} {:?}", error.detail()).contains("canary"), "{error}");
    machine.program("bin/node", "exec /bin/sleep 300");
    let error = Plan::detect(&spec, Duration::from_millis(500)).await.expect_err("too slow");
    assert_eq!(error.code(), Code::Timeout);
    assert!(!error.to_string().contains("canary"), "{error}");
}
