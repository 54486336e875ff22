//! What is found, in which order, and how what is not found is said.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use greenroom_engine::launch::{AgentSpec, Kind, LaunchError, Origin, Plan};
use greenroom_protocol::Code;

use crate::stage::{LONG, Machine, RUN_BOOTSTRAP};

const ADDRESS: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4321);

async fn detect(spec: &AgentSpec) -> Plan {
    match Plan::detect(spec, LONG).await {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    }
}

/// The error has that code, and its text every one of those words.
async fn refused(spec: &AgentSpec, code: Code, words: &[&str]) -> LaunchError {
    let error = Plan::detect(spec, LONG).await.expect_err("it has to be refused");
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    error
}

fn named(machine: &Machine, entry: &str) -> AgentSpec {
    AgentSpec { entry: Some(entry.into()), ..machine.spec() }
}

fn shown(argv: &[std::ffi::OsString]) -> String {
    argv.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

// The file and its project.

#[tokio::test]
async fn the_usual_names_are_tried_in_order() {
    let machine = Machine::new();
    machine.python("bin/python3", "1.8.9");
    machine.file("work/app.py", "import flask");
    assert_eq!(detect(&machine.spec()).await.entry, Path::new("app.py"), "better than nothing");
    for name in ["app/agent.py", "main.py", "src/agent.py", "agent.py"] {
        machine.file(&format!("work/{name}"), "from livekit import agents");
        let plan = detect(&machine.spec()).await;
        assert_eq!(plan.project_dir.join(plan.entry), machine.path("work").join(name));
    }
}

#[tokio::test]
async fn no_usual_name_is_an_error_that_lists_them() {
    let machine = Machine::new();
    machine.file("work/other.py", "");
    let words = ["/work", "agent.py, src/agent.py, main.ts, src/main.ts, src/main.js", "name the file"];
    refused(&machine.spec(), Code::EntryNotFound, &words).await;
    let elsewhere = AgentSpec { dir: machine.path("nowhere"), ..machine.spec() };
    refused(&elsewhere, Code::EntryNotFound, &["nowhere does not exist"]).await;
}

#[tokio::test]
async fn what_is_no_agent_file_is_named() {
    let machine = Machine::new();
    machine.file("work/bots/agent.py", "from livekit import agents");
    machine.file("work/empty/README.md", "");
    machine.file("work/agent.go", "package main");
    refused(&named(&machine, "no.py"), Code::EntryNotFound, &["no.py does not exist"]).await;
    refused(&named(&machine, "agent.go/x.py"), Code::EntryNotFound, &["x.py does not exist"]).await;
    refused(&named(&machine, "bots"), Code::EntryNotFound, &["bots is a folder", "bots/agent.py"]).await;
    refused(&named(&machine, "empty"), Code::EntryNotFound, &["empty is a folder", "name the file"]).await;
    refused(&named(&machine, "agent.go"), Code::NotAnAgent, &["agent.go is no agent file", ".py", ".ts"])
        .await;
    refused(&named(&machine, "/dev/null"), Code::NotAnAgent, &["/dev/null"]).await;
}

#[tokio::test]
async fn the_nearest_project_around_the_file_is_its_root() {
    let machine = Machine::new();
    machine.python("bin/python3", "1.8.9");
    machine.file("pyproject.toml", "beyond .git");
    machine.file("work/a/b/agent.py", "");
    let spec = named(&machine, "a/b/agent.py");
    let plan = detect(&spec).await;
    assert_eq!(
        (plan.project_dir, plan.entry),
        (machine.path("work/a/b"), "agent.py".into()),
        "else its own folder"
    );
    machine.file("work/requirements.txt", "");
    assert_eq!(detect(&spec).await.entry, Path::new("a/b/agent.py"));
    machine.file("work/a/pyproject.toml", "");
    let plan = detect(&spec).await;
    assert_eq!((&plan.project_dir, plan.entry.as_path()), (&machine.path("work/a"), Path::new("b/agent.py")));
    assert_eq!(
        plan.describe(),
        format!("Detected Python agent (b/agent.py in {})", machine.path("work/a").display())
    );
}

// Python.

#[tokio::test]
async fn the_interpreter_of_a_python_agent_is_found_in_the_order_that_people_expect() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    let nothing = machine.spec();
    refused(&nothing, Code::InterpreterNotFound, &["no Python was found", "agent.py", "install Python"])
        .await;

    let found = async |spec: &AgentSpec| {
        let plan = detect(spec).await;
        (plan.origin, plan.program, plan.program_args.join(" "))
    };
    let plain = String::new;

    let python = machine.python("bin/python", "1.6.0");
    assert_eq!(found(&nothing).await, (Origin::Path, python, plain()));
    let python3 = machine.python("bin/python3", "1.6.0");
    assert_eq!(found(&nothing).await, (Origin::Path, python3, plain()));

    let hint = machine.python("host/python3.12", "1.6.0");
    let mut spec = AgentSpec { interpreter_hint: Some(hint.clone()), ..nothing };
    assert_eq!(found(&spec).await, (Origin::Host, hint, plain()));
    let of_another_language = AgentSpec { interpreter_hint: Some(machine.node("v20.0.0")), ..spec.clone() };
    assert_eq!(found(&of_another_language).await.0, Origin::Path);

    let active = machine.python("active/bin/python", "1.6.0");
    spec.env.push(("VIRTUAL_ENV".to_owned(), machine.path("active").display().to_string()));
    assert_eq!(found(&spec).await, (Origin::ActiveEnv, active, plain()));

    let of_project = machine.python("work/.venv/bin/python", "1.6.0");
    assert_eq!(found(&spec).await, (Origin::ProjectEnv, of_project.clone(), plain()));

    machine.file("work/pyproject.toml", "[project]\n[tool.uv.sources]\n");
    assert_eq!(found(&spec).await, (Origin::ProjectEnv, of_project, plain()), "a uv project without uv");
    machine.uv("1.6.0");
    let of_uv = (Origin::Uv, "/env/bin/python3".into(), plain());
    assert_eq!(found(&spec).await, of_uv);
    machine.file("work/pyproject.toml", "[project]");
    assert_eq!(found(&spec).await.0, Origin::ProjectEnv, "without settings and lock it is not uv's");
    machine.file("work/uv.lock", "");
    assert_eq!(found(&spec).await, of_uv);

    let given = machine.python("other/bin/python", "1.6.0");
    for name in ["../other/bin/python", "../other"] {
        spec.interpreter = Some(name.into());
        let (origin, program, _) = found(&spec).await;
        assert_eq!((origin, program.canonicalize().expect("it is there")), (Origin::Given, given.clone()));
    }
    spec.interpreter = Some("python".into());
    assert_eq!(found(&spec).await, (Origin::Given, machine.path("bin/python"), plain()));
    spec.interpreter = Some("python9".into());
    refused(&spec, Code::InterpreterNotFound, &["python9 is not on PATH"]).await;
    spec.interpreter = Some("../other/bin/python9".into());
    refused(&spec, Code::InterpreterNotFound, &["there is no interpreter", "other/bin/python9"]).await;
}

#[tokio::test]
async fn the_lock_and_the_environment_of_a_workspace_serve_its_members() {
    let machine = Machine::new();
    machine.file("work/member/agent.py", "");
    machine.file("work/member/pyproject.toml", "");
    let env = machine.python("work/.venv/bin/python", "1.8.9");
    let spec = named(&machine, "member/agent.py");
    assert_eq!(detect(&spec).await.program, env);
    machine.file("work/uv.lock", "");
    machine.uv("1.8.9");
    let plan = detect(&spec).await;
    assert_eq!((plan.origin, plan.project_dir), (Origin::Uv, machine.path("work/member")));
}

#[tokio::test]
async fn uv_syncs_and_its_python_is_run_with_its_variables() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    machine.file("work/uv.lock", "");
    machine.uv("1.8.9");
    let asked = || std::fs::read_to_string(machine.path("work/uv.args")).expect("its arguments");
    let plan = detect(&machine.spec()).await;
    assert!(asked().starts_with("run python -c "), "{}", asked());
    let expected =
        format!("/env/bin/python3 -c {RUN_BOOTSTRAP} agent.py console --connect-addr 127.0.0.1:4321");
    assert_eq!(shown(&plan.argv(ADDRESS)), expected);
    let added =
        [("PATH", "/env/bin"), ("VIRTUAL_ENV", "/env")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(plan.env, [machine.spec().env, added.to_vec()].concat());
    detect(&AgentSpec { sync: false, ..machine.spec() }).await;
    assert!(asked().starts_with("run --no-sync python -c "), "{}", asked());
}

#[tokio::test]
async fn a_python_sdk_that_is_missing_or_too_old_is_named_with_the_fix() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    let spec = machine.spec();
    let python = machine.python("bin/python3", "");
    let install = format!("{} -m pip install livekit-agents", python.display());
    refused(&spec, Code::SdkMissing, &["livekit-agents is not installed", "on PATH", &install]).await;
    for old in ["1.5.9", "1.6.0rc1", "0.12.20"] {
        machine.python("bin/python3", old);
        refused(&spec, Code::SdkTooOld, &[old, "1.6.0 or newer", "pip install -U livekit-agents"]).await;
    }
    machine.python("bin/python3", "1.10.0");
    assert_eq!(detect(&spec).await.sdk_version, "1.10.0");

    machine.uv("");
    machine.file("work/uv.lock", "");
    refused(&spec, Code::SdkMissing, &["uv add livekit-agents"]).await;
    machine.file("work/pyproject.toml", "dependencies = ['livekit-agents~=1.6']");
    refused(&spec, Code::SdkMissing, &["uv sync"]).await;
    machine.uv("1.5.0");
    refused(&spec, Code::SdkTooOld, &["1.5.0", "uv add 'livekit-agents>=1.6.0'"]).await;
}

#[tokio::test]
async fn an_interpreter_that_does_not_work_is_named_with_what_it_printed() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    machine.program("bin/python3", "echo 'cannot find libpython' >&2; exit 127");
    let error =
        refused(&machine.spec(), Code::InterpreterNotFound, &["bin/python3", "cannot find libpython"]).await;
    assert_eq!(error.detail().as_deref(), Some("cannot find libpython"));
    std::fs::remove_file(machine.path("bin/python3")).expect("remove");
    machine.program("bin/uv", "echo 'error: no solution found' >&2; exit 1");
    machine.file("work/uv.lock", "");
    refused(&machine.spec(), Code::InterpreterNotFound, &["`uv run python`", "no solution", "uv sync"]).await;
    let not_executable = machine.file("work/notes", "");
    let spec = AgentSpec { interpreter: Some(not_executable), ..machine.spec() };
    refused(&spec, Code::InterpreterNotFound, &["notes", "cannot be started"]).await;
}

#[tokio::test]
async fn an_interpreter_that_hangs_is_killed_at_the_deadline() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    machine.program("bin/python3", "echo child=$$ > child; exec /bin/sleep 300");
    let error = Plan::detect(&machine.spec(), Duration::from_millis(500)).await.expect_err("too slow");
    assert_eq!(error.code(), Code::Timeout);
    assert!(error.to_string().contains("0.5 s"), "{error}");
    let child = crate::stage::logged(&machine.path("work/child"), "child").await;
    crate::stage::eventually("it is gone", || !crate::stage::running(child)).await;
}

#[tokio::test]
async fn a_python_agent_is_run_as_a_script_with_the_sdks_console() {
    let machine = Machine::new();
    machine.python("work/.venv/bin/python", "1.8.9");
    machine.file("work/src/agent.py", "");
    let mut spec = AgentSpec { args: vec!["-X".to_owned(), "dev".to_owned()], ..machine.spec() };
    let plan = detect(&spec).await;
    let python = machine.path("work/.venv/bin/python");
    let expected = format!("-X dev -c {RUN_BOOTSTRAP} src/agent.py console --connect-addr 127.0.0.1:4321");
    assert_eq!(shown(&plan.argv(ADDRESS)), format!("{} {expected}", python.display()));
    // A module that runs files runs this one. The person may have named it, too.
    for args in [
        &["-X", "dev", "-m", "coverage", "run", "--branch"][..],
        &["-X", "dev", "-mcoverage", "run", "--branch", "src/agent.py"],
    ] {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let plan = detect(&AgentSpec { args, ..machine.spec() }).await;
        let expected = format!("{expected} -m coverage run --branch");
        assert_eq!(shown(&plan.argv(ADDRESS)), format!("{} {expected}", python.display()));
    }
    assert_eq!((plan.kind, plan.interpreter_version.as_deref()), (Kind::Python, Some("3.12.1")));
    machine.file("work/-odd.py", "");
    spec = AgentSpec { entry: Some("-odd.py".into()), record: true, ..machine.spec() };
    let argv = shown(&detect(&spec).await.argv(ADDRESS));
    assert!(argv.ends_with("./-odd.py console --connect-addr 127.0.0.1:4321 --record"), "{argv}");
}

#[tokio::test]
async fn a_spec_and_a_plan_travel_as_json() {
    let machine = Machine::new();
    machine.python("bin/python3", "1.8.9");
    machine.file("work/agent.py", "");
    let spec = AgentSpec { args: vec!["-B".to_owned()], ..machine.spec() };
    let copy: AgentSpec =
        serde_json::from_str(&serde_json::to_string(&spec).expect("to JSON")).expect("from JSON");
    assert_eq!(copy, spec);
    let plan = detect(&spec).await;
    let copy: Plan =
        serde_json::from_str(&serde_json::to_string(&plan).expect("to JSON")).expect("from JSON");
    assert_eq!(copy, plan);
}

#[tokio::test]
async fn what_is_printed_for_debugging_has_no_values_of_variables() {
    let machine = Machine::new();
    machine.python("bin/python3", "1.8.9");
    machine.file("work/agent.py", "");
    let mut spec = machine.spec();
    spec.env.push(("API_SECRET".to_owned(), "hunter2".to_owned()));
    let printed = format!("{spec:?} {:?}", detect(&spec).await);
    assert!(printed.contains("API_SECRET") && !printed.contains("hunter2"), "{printed}");
}

// Node.

fn with_sdk(machine: &Machine, folder: &str, version: &str) {
    let manifest = format!("{folder}/node_modules/@livekit/agents/package.json");
    machine.file(&manifest, &format!("{{\"name\": \"@livekit/agents\", \"version\": \"{version}\"}}"));
}

#[tokio::test]
async fn a_node_agent_is_run_by_its_own_file() {
    let machine = Machine::new();
    let node = machine.node("v20.20.2");
    with_sdk(&machine, "work", "1.4.7");
    machine.file("work/package.json", "{}");
    for name in ["src/main.js", "agent.mjs", "agent.cjs"] {
        machine.file(&format!("work/{name}"), "");
        let spec = AgentSpec {
            args: vec!["--enable-source-maps".to_owned()],
            record: true,
            ..named(&machine, name)
        };
        let plan = detect(&spec).await;
        let expected = format!("--enable-source-maps {name} console --connect-addr 127.0.0.1:4321 --record");
        assert_eq!(shown(&plan.argv(ADDRESS)), format!("{} {expected}", node.display()));
        assert_eq!((plan.kind, plan.origin), (Kind::Node, Origin::Path));
        assert_eq!(plan.interpreter_version.as_deref(), Some("20.20.2"));
        assert!(plan.describe().starts_with("Detected Node agent ("));
    }
}

#[tokio::test]
async fn typescript_runs_where_node_can_take_the_types_out() {
    let machine = Machine::new();
    with_sdk(&machine, "work", "1.9.0");
    machine.file("work/main.ts", "");
    let flag = vec!["--experimental-strip-types".to_owned()];
    let refusal = ["main.ts is TypeScript", "22.6.0 or newer", "--import tsx", "compile"];
    for (version, expected) in [
        ("v18.20.0", None),
        ("v20.20.2", None),
        ("v22.5.1", None),
        ("v22.6.0", Some(&flag)),
        ("v22.17.1", Some(&flag)),
        ("v22.18.0", Some(&vec![])),
        ("v23.5.0", Some(&flag)),
        ("v23.6.0", Some(&vec![])),
        ("v24.1.0", Some(&vec![])),
    ] {
        machine.node(version);
        match expected {
            Some(args) => assert_eq!(&detect(&machine.spec()).await.program_args, args, "{version}"),
            None => {
                refused(&machine.spec(), Code::InterpreterNotFound, &refusal).await;
            }
        }
    }
    machine.node("v20.20.2");
    for loader in ["--import=tsx", "-r"] {
        let spec = AgentSpec { args: vec![loader.to_owned()], ..machine.spec() };
        assert!(detect(&spec).await.program_args.is_empty(), "{loader} is the person's own way");
    }
    machine.program("bin/bun", "echo 1.1.0");
    let spec = AgentSpec { interpreter: Some("bun".into()), ..machine.spec() };
    assert!(detect(&spec).await.program_args.is_empty(), "another runtime knows its own way");
}

#[tokio::test]
async fn the_node_sdk_is_found_as_node_finds_it() {
    let machine = Machine::new();
    machine.node("v22.18.0");
    machine.file("work/package.json", "{}");
    let real = machine.file("shared/agents/src/agent.js", "");
    with_sdk(&machine, "shared", "1.7.0");
    symlink(&real, machine.path("work/agent.js")).expect("a link");
    let plan = detect(&machine.spec()).await;
    assert_eq!((plan.sdk_version.as_str(), plan.entry), ("1.7.0", "agent.js".into()));
    with_sdk(&machine, "shared/agents", "1.8.0");
    assert_eq!(detect(&machine.spec()).await.sdk_version, "1.8.0", "the nearest");
}

#[tokio::test]
async fn a_node_sdk_that_is_missing_or_too_old_is_named_with_the_fix() {
    let machine = Machine::new();
    machine.node("v22.18.0");
    machine.file("work/agent.js", "");
    let spec = machine.spec();
    refused(&spec, Code::SdkMissing, &["@livekit/agents is not installed", "npm install @livekit/agents"])
        .await;
    machine.file("work/package.json", r#"{"dependencies": {"@livekit/agents": "^1.9"}}"#);
    refused(&spec, Code::SdkMissing, &["run `npm install` in"]).await;
    machine.file("work/pnpm-lock.yaml", "");
    refused(&spec, Code::SdkMissing, &["run `pnpm install` in"]).await;
    with_sdk(&machine, "work", "1.4.6");
    refused(&spec, Code::SdkTooOld, &["1.4.6", "1.4.7 or newer", "pnpm add @livekit/agents@latest"]).await;
    machine.file("work/node_modules/@livekit/agents/package.json", "{");
    refused(&spec, Code::Io, &["package.json", "reinstall"]).await;
}

#[tokio::test]
async fn no_node_is_an_error_unless_the_host_is_one() {
    let machine = Machine::new();
    with_sdk(&machine, "work", "1.9.0");
    machine.file("work/agent.js", "");
    let spec = machine.spec();
    refused(&spec, Code::InterpreterNotFound, &["no Node was found", "install Node.js"]).await;
    let host = machine.program("host/node", "echo v24.0.0");
    let spec = AgentSpec { interpreter_hint: Some(host.clone()), ..spec };
    let plan = detect(&spec).await;
    assert_eq!((plan.origin, plan.program), (Origin::Host, host));
}
