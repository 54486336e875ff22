//! Where Python projects have their environments, and what is said of one that is missing or of no use.
//!
//! The tools are made up. What they print is what the real ones do: Poetry 2.5.1, Pipenv 2026.10.3, PDM 2.29.4, Hatch
//! 1.18.2, uv 0.13.8; conda's as its manual has it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use greenroom_engine::launch::{AgentSpec, LaunchError, Origin, Plan};
use greenroom_protocol::Code;

use crate::stage::{LONG, Machine};

async fn detect(spec: &AgentSpec) -> Plan {
    match Plan::detect(spec, LONG).await {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    }
}

/// The error has that code, and its text every one of those words.
#[track_caller]
fn check(error: &LaunchError, code: Code, words: &[&str]) {
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    assert!(!error.to_string().contains("importlib"), "the question is nobody's business: {error}");
}

async fn refused(spec: &AgentSpec, code: Code, words: &[&str]) {
    check(&Plan::detect(spec, LONG).await.expect_err("it has to be refused"), code, words);
}

/// A machine whose project has an agent, and whose system Python has the SDK.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    machine.python("bin/python3", "1.8.9");
    machine
}

/// A Python in a folder elsewhere, as the tool's `run python` finds it.
fn kept_environment(machine: &Machine, sdk: &str) -> String {
    let python = machine.path("kept/env/bin/python");
    machine.program(
        "kept/env/bin/python",
        &format!(
            "echo greenroom-python=3.12.1\necho greenroom-sdk={sdk}\necho greenroom-executable={}\n\
             echo greenroom-environment=\"{{\\\"VIRTUAL_ENV\\\": \\\"$VIRTUAL_ENV\\\", \\\"FROM_TOOL\\\": \\\"1\\\"}}\"",
            python.display()
        ),
    );
    machine.path("kept/env").display().to_string()
}

/// A tool that has an environment there and runs programs in it. It writes its questions into `asked`.
fn tool(machine: &Machine, name: &str, question: &str, env: &str) {
    machine.program(
        &format!("bin/{name}"),
        &format!(
            "echo \"$*\" | head -1 >> {asked}\ncase \"$*\" in\n\"{question}\") echo 'a notice' >&2; echo {env} ;;\n\
             'run python '*) shift 2; VIRTUAL_ENV={env} exec {env}/bin/python \"$@\" ;;\n*) exit 2 ;;\nesac",
            asked = machine.path("asked").display()
        ),
    );
    // The machine's PATH has no other program; a second tool finds the link there.
    let _ = symlink("/usr/bin/head", machine.path("bin/head"));
}

const TOOLS: [(&str, &str, &str, Origin); 3] = [
    ("poetry", "env info --path", "poetry.lock", Origin::Poetry),
    ("pipenv", "--venv", "Pipfile", Origin::Pipenv),
    ("hatch", "env find", "hatch.toml", Origin::Hatch),
];

// Environments that tools keep.

#[tokio::test]
async fn environment_that_a_tool_keeps_elsewhere_is_found_by_the_tool() {
    for (name, question, mark, origin) in TOOLS {
        let machine = machine();
        machine.file(&format!("work/{mark}"), "");
        let env = kept_environment(&machine, "1.9.0");
        tool(&machine, name, question, &env);
        let plan = detect(&machine.spec()).await;
        assert_eq!((plan.origin, plan.sdk_version.as_str()), (origin, "1.9.0"), "{name}");
        assert_eq!(plan.program, machine.path("kept/env/bin/python"));
        let added = [("FROM_TOOL", "1"), ("VIRTUAL_ENV", &env)];
        for (key, value) in added {
            assert!(plan.env.contains(&(key.to_owned(), value.to_owned())), "{key} in {:?}", plan.env);
        }
        assert_eq!(plan.project_dir, machine.path("work"));
    }
}

#[tokio::test]
async fn environment_of_pdm_is_found_by_the_file_that_names_it() {
    let machine = machine();
    machine.file("work/pdm.lock", "");
    let env = kept_environment(&machine, "1.9.0");
    machine.file("work/.pdm-python", &format!("{env}/bin/python"));
    assert_eq!(detect(&machine.spec()).await.origin, Origin::Pdm, "without pdm");
    tool(&machine, "pdm", "never", &env);
    let plan = detect(&machine.spec()).await;
    assert_eq!((plan.origin, plan.program), (Origin::Pdm, machine.path("kept/env/bin/python")));
    assert!(plan.env.contains(&("FROM_TOOL".to_owned(), "1".to_owned())));
    machine.file("work/.pdm-python", "/gone/bin/python");
    refused(
        &machine.spec(),
        Code::InterpreterNotFound,
        &["/gone/bin/python is named by", ".pdm-python", "not there", "pdm"],
    )
    .await;
}

#[tokio::test]
async fn environment_of_conda_is_found_by_the_name_in_environment_yml() {
    let machine = machine();
    machine.file("work/environment.yml", "channels: [defaults]\nname: \"barista\" # the bot\n");
    let env = machine.python("conda/envs/barista/bin/python", "1.9.0");
    let list = |name: &str| format!("{{\"envs\": [\"/conda\", \"{}\"]}}", machine.path(name).display());
    machine.program("bin/conda", &format!("echo '{}'", list("conda/envs/barista")));
    let plan = detect(&machine.spec()).await;
    assert_eq!((plan.origin, &plan.program), (Origin::Conda, &env));
    let prefix = machine.path("conda/envs/barista").display().to_string();
    assert!(plan.env.contains(&("CONDA_PREFIX".to_owned(), prefix.clone())));
    let path = plan.env.iter().rfind(|(key, _)| key == "PATH").expect("a path");
    assert!(path.1.starts_with(&format!("{prefix}/bin:")), "{path:?}");

    // The system has no SDK from here on.
    machine.python("bin/python3", "");
    machine.program("bin/conda", &format!("echo '{}'", list("conda/envs/other")));
    refused(&machine.spec(), Code::SdkMissing, &["has none yet", "conda env create -f", "environment.yml"])
        .await;
    fs::remove_file(machine.path("bin/conda")).expect("remove");
    refused(
        &machine.spec(),
        Code::SdkMissing,
        &["conda is not on PATH", "conda activate barista && greenroom start"],
    )
    .await;
    machine.file("home/.conda/environments.txt", &format!("/conda\n{prefix}\n"));
    assert_eq!(detect(&machine.spec()).await.program, env, "its own list");
}

#[tokio::test]
async fn tool_without_an_environment_is_named_with_the_command_that_makes_one() {
    for (name, _, mark, _) in TOOLS {
        let machine = Machine::new();
        machine.file("work/agent.py", "");
        machine.file(&format!("work/{mark}"), "");
        machine.python("bin/python3", "");
        // Hatch names the folder that it would make.
        machine.program(&format!("bin/{name}"), "echo /nowhere/env; exit 1");
        let create = match name {
            "poetry" => "poetry add livekit-agents",
            "pipenv" => "pipenv install",
            _ => "hatch env create",
        };
        let command = format!("run `{create}` in {}", machine.path("work").display());
        refused(
            &machine.spec(),
            Code::SdkMissing,
            &["keeps this project's environment", mark, "has none yet", &command],
        )
        .await;
        fs::remove_file(machine.path(&format!("bin/{name}"))).expect("remove");
        let run = format!("run `{name} run greenroom start {}", machine.path("work/agent.py").display());
        refused(&machine.spec(), Code::SdkMissing, &[mark, &format!("{name} is not on PATH"), &run]).await;
        fs::remove_file(machine.path("bin/python3")).expect("remove");
        refused(&machine.spec(), Code::InterpreterNotFound, &["no Python was found", &run]).await;
    }
}

#[tokio::test]
async fn tool_that_is_missing_does_not_keep_an_agent_from_starting_elsewhere() {
    let machine = machine();
    machine.file("work/poetry.lock", "");
    assert_eq!(detect(&machine.spec()).await.origin, Origin::Path);
}

#[tokio::test]
async fn sdk_missing_in_an_environment_of_a_tool_is_installed_by_the_tool() {
    for (mark, text, name, question, command) in [
        (
            "poetry.lock",
            "[project]\ndependencies = ['livekit-agents']",
            "poetry",
            "env info --path",
            "poetry install",
        ),
        (
            "poetry.lock",
            "[project.optional-dependencies]\nvoice = ['livekit-agents']",
            "poetry",
            "env info --path",
            "poetry install --extras voice",
        ),
        (
            "poetry.lock",
            "[tool.poetry.group.bot.dependencies]\nlivekit-agents = '*'",
            "poetry",
            "env info --path",
            "poetry install --with bot",
        ),
        ("poetry.lock", "", "poetry", "env info --path", "poetry add livekit-agents"),
        ("Pipfile", "", "pipenv", "--venv", "pipenv install livekit-agents"),
    ] {
        let machine = machine();
        machine.file(&format!("work/{mark}"), "");
        machine.file("work/pyproject.toml", text);
        let env = kept_environment(&machine, "");
        tool(&machine, name, question, &env);
        refused(
            &machine.spec(),
            Code::SdkMissing,
            &["kept/env/bin/python", "keeps", &format!("`{command}`")],
        )
        .await;
    }
}

#[tokio::test]
async fn sdk_in_an_environment_of_a_tool_is_upgraded_by_the_tool() {
    for (mark, command) in [
        ("poetry.lock", "poetry add 'livekit-agents>=1.6.0'"),
        ("pdm.lock", "pdm add 'livekit-agents>=1.6.0'"),
        ("Pipfile", "pipenv install 'livekit-agents>=1.6.0'"),
    ] {
        let machine = machine();
        machine.file(&format!("work/{mark}"), "");
        machine.python("work/.venv/bin/python", "1.5.0");
        refused(&machine.spec(), Code::SdkTooOld, &["1.5.0", &format!("`{command}`")]).await;
        machine.python("work/.venv/bin/python", "");
        let tool = command.split(' ').next().expect("a tool");
        refused(&machine.spec(), Code::SdkMissing, &["the project's environment", &format!("run `{tool} ")])
            .await;
    }
}

// Environments in the project.

#[tokio::test]
async fn environment_of_any_usual_name_is_the_projects() {
    for name in [".venv", "venv", "env", "ENV", ".env", ".conda", ".pixi/envs/default"] {
        let machine = machine();
        machine.file("work/pyproject.toml", "");
        let python = machine.python(&format!("work/{name}/bin/python"), "1.9.0");
        let plan = detect(&machine.spec()).await;
        assert_eq!((plan.origin, plan.program), (Origin::ProjectEnv, python));
    }
}

#[tokio::test]
async fn file_named_venv_leads_to_the_environment_and_a_file_of_variables_is_none() {
    let machine = machine();
    machine.file("work/.env", "KEY=value");
    assert_eq!(detect(&machine.spec()).await.origin, Origin::Path);
    let python = machine.python("elsewhere/bin/python", "1.9.0");
    machine.file("work/.venv", &format!("{}\n", machine.path("elsewhere").display()));
    assert_eq!(detect(&machine.spec()).await.program, python);
}

#[tokio::test]
async fn environment_that_cannot_be_used_is_named_and_never_the_parents_taken() {
    type Spoil = fn(&Machine);
    let cases: [(Spoil, &[&str]); 6] = [
        (
            |machine| symlink("/nowhere/env", machine.path("work/app/.venv")).expect("a link"),
            &["is a link to /nowhere/env, which is not there", "rm -r", "venv"],
        ),
        (
            |machine| {
                machine.file("work/app/.venv/pyvenv.cfg", "");
                fs::create_dir(machine.path("work/app/.venv/bin")).expect("a folder");
                symlink("python3", machine.path("work/app/.venv/bin/python")).expect("a link");
                symlink("/nowhere/bin/python3.9", machine.path("work/app/.venv/bin/python3"))
                    .expect("a link");
            },
            &["has a bin/python that links to /nowhere/bin/python3.9, which is not there", "rm -r"],
        ),
        (
            |machine| {
                let python = machine.file("work/app/.venv/bin/python", "");
                fs::set_permissions(python, Permissions::from_mode(0o644)).expect("a mode");
            },
            &["has a bin/python that cannot be executed", "run `chmod +x "],
        ),
        (
            |machine| fs::create_dir(machine.path("work/app/.venv")).expect("a folder"),
            &["has no bin/python", "rm -r"],
        ),
        (
            |machine| drop(machine.file("work/app/.venv/Scripts/python.exe", "")),
            &["was made on another system", "rm -r"],
        ),
        (
            |machine| drop(machine.file("work/app/env/pyvenv.cfg", "")),
            &["app/env has no bin/python", "rm -r"],
        ),
    ];
    for (spoil, words) in cases {
        let machine = machine();
        machine.file("work/app/agent.py", "");
        machine.python("work/.venv/bin/python", "1.8.9");
        let spec = AgentSpec { entry: Some("app/agent.py".into()), ..machine.spec() };
        assert_eq!(
            detect(&spec).await.origin,
            Origin::ProjectEnv,
            "the parent's serves a project without one"
        );
        spoil(&machine);
        let folder = machine.path("work/app").display().to_string();
        refused(&spec, Code::InterpreterNotFound, &[words, &[&folder]].concat()).await;
    }
}

#[tokio::test]
async fn way_out_of_a_broken_environment_is_the_projects_own() {
    let machine = machine();
    fs::create_dir(machine.path("work/.venv")).expect("a folder");
    let work = machine.path("work").display().to_string();
    let python = format!("{work}/.venv/bin/python");
    let plain = format!(
        "rm -r {work}/.venv && python3 -m venv {work}/.venv && {python} -m pip install livekit-agents"
    );
    refused(&machine.spec(), Code::InterpreterNotFound, &[&plain]).await;
    machine.file("work/requirements.txt", "aiohttp\nlivekit-agents[openai]~=1.6\n");
    refused(
        &machine.spec(),
        Code::InterpreterNotFound,
        &[&format!("pip install -r {work}/requirements.txt")],
    )
    .await;
    machine.program("bin/uv", "exit 1");
    let by_uv =
        format!("uv venv {work}/.venv && uv pip install --python {python} -r {work}/requirements.txt");
    refused(&machine.spec(), Code::InterpreterNotFound, &[&by_uv]).await;
    machine.file("work/Pipfile", "");
    refused(&machine.spec(), Code::InterpreterNotFound, &[&format!("rm -r {work}/.venv && pipenv install")])
        .await;
}

#[tokio::test]
async fn active_environment_that_is_gone_is_named() {
    let machine = machine();
    let mut spec = machine.spec();
    spec.env.push(("VIRTUAL_ENV".to_owned(), machine.path("gone").display().to_string()));
    refused(&spec, Code::InterpreterNotFound, &["/gone (VIRTUAL_ENV) is not there", "unset VIRTUAL_ENV"])
        .await;
    fs::create_dir(machine.path("gone")).expect("a folder");
    refused(&spec, Code::InterpreterNotFound, &["/gone (VIRTUAL_ENV) is no environment"]).await;
    // It does not matter to a project that has its own.
    machine.python("work/.venv/bin/python", "1.9.0");
    assert_eq!(detect(&spec).await.origin, Origin::ProjectEnv);
}

#[tokio::test]
async fn active_environment_of_conda_is_taken_unless_it_is_its_base() {
    let machine = machine();
    let python = machine.python("conda/envs/x/bin/python", "1.9.0");
    let mut spec = machine.spec();
    let var = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    spec.env.push(var("CONDA_PREFIX", &machine.path("conda/envs/x").display().to_string()));
    spec.env.push(var("CONDA_DEFAULT_ENV", "x"));
    let plan = detect(&spec).await;
    assert_eq!((plan.origin, plan.program), (Origin::ActiveEnv, python));
    spec.env.push(var("CONDA_DEFAULT_ENV", "base"));
    assert_eq!(detect(&spec).await.origin, Origin::Path);
}

#[tokio::test]
async fn named_interpreter_that_cannot_be_used_is_told_apart_from_one_that_is_not_there() {
    let machine = machine();
    let named = |name: &str| AgentSpec { interpreter: Some(name.into()), ..machine.spec() };
    let code = Code::InterpreterNotFound;
    machine.file("work/mine/pyvenv.cfg", "");
    refused(&named("mine"), code, &["work/mine has no bin/python"]).await;
    machine.file("work/mine/bin/python", "");
    refused(&named("mine"), code, &["cannot be executed"]).await;
    refused(&named("mine/bin/python"), code, &["mine/bin/python cannot be started", "chmod +x"]).await;
    refused(&named("theirs/bin/python"), code, &["there is no interpreter", "theirs/bin/python"]).await;
}

// What to do.

#[tokio::test]
async fn advice_is_one_that_this_python_can_follow() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    let work = machine.path("work").display().to_string();
    let python = machine.path("bin/python3").display().to_string();
    let answers = |facts: &str| {
        machine.program("bin/python3", &format!("echo greenroom-sdk=\nprintf '{facts}'"));
    };
    answers("greenroom-pip=1\\ngreenroom-managed=1\\ngreenroom-ensurepip=1\\n");
    let venv =
        format!("`{python} -m venv {work}/.venv && {work}/.venv/bin/python -m pip install livekit-agents`");
    refused(&machine.spec(), Code::SdkMissing, &["the system keeps that Python for itself", &venv]).await;
    answers("greenroom-pip=1\\ngreenroom-managed=1\\ngreenroom-ensurepip=0\\n");
    refused(&machine.spec(), Code::SdkMissing, &[&venv, "apt install python3-venv"]).await;
    answers("greenroom-pip=0\\ngreenroom-managed=0\\ngreenroom-ensurepip=1\\n");
    let pip = format!("`{python} -m ensurepip && {python} -m pip install livekit-agents`");
    refused(&machine.spec(), Code::SdkMissing, &[&pip]).await;
    answers("greenroom-pip=0\\ngreenroom-ensurepip=0\\n");
    let by_uv = format!("`uv pip install --python {python} livekit-agents`");
    refused(&machine.spec(), Code::SdkMissing, &[&by_uv]).await;

    machine.program("bin/uv", "exit 1");
    answers("greenroom-pip=0\\ngreenroom-ensurepip=1\\n");
    refused(&machine.spec(), Code::SdkMissing, &[&by_uv]).await;
    machine.program("bin/python3", "echo greenroom-sdk=1.5.0\necho greenroom-pip=0");
    let upgrade = format!("`uv pip install --python {python} -U livekit-agents`");
    refused(&machine.spec(), Code::SdkTooOld, &["1.5.0", &upgrade]).await;
}

#[tokio::test]
async fn advice_quotes_a_path_with_blanks() {
    let machine = Machine::new();
    machine.file("work/my shop/agent.py", "");
    machine.python("work/my shop/.venv/bin/python", "");
    let spec = AgentSpec { entry: Some("my shop/agent.py".into()), ..machine.spec() };
    let python = machine.path("work/my shop/.venv/bin/python").display().to_string();
    refused(&spec, Code::SdkMissing, &[&format!("`'{python}' -m pip install livekit-agents`")]).await;
}

// uv.

/// A uv whose environment has the SDK once it is run with this option.
fn uv_with(machine: &Machine, option: &str) {
    machine.program(
        "bin/uv",
        &format!(
            "echo \"$*\" >> uv.args\ncase \" $* \" in *' {option} '*) echo greenroom-sdk=1.9.0 ;; *) echo greenroom-sdk= ;; esac\n\
             echo greenroom-executable=/env/bin/python3\necho greenroom-environment='{{}}'"
        ),
    );
}

#[tokio::test]
async fn sdk_in_an_extra_or_a_group_of_uv_is_run_with_it() {
    for (text, option) in [
        ("[project.optional-dependencies]\nvoice = ['livekit-agents[openai]~=1.6']\n", "--extra voice"),
        ("[dependency-groups]\nagent = ['livekit-agents']\n", "--group agent"),
    ] {
        let machine = Machine::new();
        machine.file("work/agent.py", "");
        machine.file("work/uv.lock", "");
        machine.file("work/pyproject.toml", text);
        uv_with(&machine, option);
        let plan = detect(&machine.spec()).await;
        assert_eq!((plan.origin, plan.sdk_version.as_str()), (Origin::Uv, "1.9.0"));
        let asked = fs::read_to_string(machine.path("work/uv.args")).expect("its arguments");
        assert!(asked.contains(&format!("run {option} python -c")), "{asked}");

        let spec = AgentSpec { sync: false, ..machine.spec() };
        refused(&spec, Code::SdkMissing, &[&format!("`uv sync --inexact {option}`")]).await;
    }
}

#[tokio::test]
async fn sdk_in_several_extras_of_uv_is_told_with_each_of_them() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    machine.file("work/uv.lock", "");
    machine.file(
        "work/pyproject.toml",
        "[project.optional-dependencies]\na = ['livekit-agents']\nb = ['livekit-agents']\n",
    );
    uv_with(&machine, "--extra a");
    refused(&machine.spec(), Code::SdkMissing, &["uv sync --inexact --extra a` or `--extra b`"]).await;
}

const SCRIPT: &str = "# /// script\n# dependencies = ['livekit-agents']\n# ///\n";

#[tokio::test]
async fn script_with_its_own_requirements_is_run_in_the_environment_that_uv_keeps_for_it() {
    let machine = machine();
    machine.file("work/agent.py", SCRIPT);
    machine.file("work/uv.lock", "");
    machine.file("kept/pyvenv.cfg", "");
    let python = machine.python("kept/bin/python3", "1.9.0");
    machine.program(
        "bin/uv",
        &format!(
            "echo \"$*\" >> uv.args\ncase \"$*\" in 'sync --script agent.py') echo Resolved >&2 ;;\n\
             'python find --script agent.py') echo {} ;; *) exit 2 ;; esac",
            python.display()
        ),
    );
    let plan = detect(&machine.spec()).await;
    assert_eq!((plan.origin, &plan.program), (Origin::UvScript, &python));
    let kept = machine.path("kept").display().to_string();
    assert!(plan.env.contains(&("VIRTUAL_ENV".to_owned(), kept)));
    detect(&AgentSpec { sync: false, ..machine.spec() }).await;
    let asked = fs::read_to_string(machine.path("work/uv.args")).expect("its arguments");
    assert_eq!(asked.matches("sync --script").count(), 1, "{asked}");

    machine.python("kept/bin/python3", "");
    let add = format!("uv add --script {} livekit-agents", machine.path("work/agent.py").display());
    refused(&machine.spec(), Code::SdkMissing, &["the environment that uv keeps for this script", &add])
        .await;
    machine.program("bin/uv", "echo 'error: no solution found' >&2; exit 1");
    refused(&machine.spec(), Code::InterpreterNotFound, &["uv sync --script", "no solution found"]).await;
}

#[tokio::test]
async fn script_with_its_own_requirements_and_no_uv_says_what_it_needs() {
    let machine = Machine::new();
    machine.file("work/agent.py", SCRIPT);
    machine.python("bin/python3", "");
    refused(&machine.spec(), Code::SdkMissing, &["carries its requirements itself", "install uv"]).await;
}

// The question.

#[tokio::test]
async fn question_is_in_no_error() {
    let machine = machine();
    machine.program("bin/python3", "echo broken; exit 1");
    refused(&machine.spec(), Code::InterpreterNotFound, &["bin/python3 cannot run Python code (broken)"])
        .await;
    // The file is executable, and what would run it is not there.
    machine.program("bin/python3", "");
    let python = machine.path("bin/python3");
    fs::write(&python, "#!/nowhere/sh\n").expect("write");
    refused(&machine.spec(), Code::InterpreterNotFound, &["cannot be started"]).await;
    machine.program("bin/python3", "exec /bin/sleep 300");
    let within = std::time::Duration::from_millis(200);
    let error = Plan::detect(&machine.spec(), within).await.expect_err("too slow");
    check(&error, Code::Timeout, &["bin/python3`"]);
}

#[tokio::test]
async fn question_to_node_is_in_no_error() {
    let machine = Machine::new();
    machine.file("work/main.js", "");
    machine.program("bin/node", "exec /bin/sleep 300");
    let within = std::time::Duration::from_millis(200);
    let error = Plan::detect(&machine.spec(), within).await.expect_err("too slow");
    check(&error, Code::Timeout, &["bin/node`"]);
    assert!(!error.to_string().contains("ts-nocheck") && !error.to_string().contains('\n'), "{error}");
    // A Deno, which evaluates by a word instead of a flag.
    machine.program("bin/node", "case $1 in --version) echo deno 2.0.0 ;; eval) exec /bin/sleep 300 ;; esac");
    let error = Plan::detect(&machine.spec(), 3 * within).await.expect_err("too slow");
    check(&error, Code::Timeout, &["bin/node`"]);
    assert!(!error.to_string().contains("ts-nocheck") && !error.to_string().contains('\n'), "{error}");
}

#[tokio::test]
async fn large_environment_of_a_tool_is_kept_and_a_broken_one_refused() {
    let machine = Machine::new();
    machine.file("work/agent.py", "");
    machine.file("work/uv.lock", "");
    let uv = |environment: &str| {
        machine.program(
            "bin/uv",
            &format!("echo greenroom-sdk=1.9.0\necho greenroom-executable=/env/bin/python3\n{environment}"),
        );
    };
    // 1 MiB, in what the shell itself can print.
    uv("printf 'greenroom-environment={\"FROM_TOOL\": \"'\nprintf '%01048576d' 0\necho '\"}'");
    let plan = Plan::detect(&machine.spec(), LONG).await.expect("it is found");
    let set = plan.env.iter().find(|(name, _)| name == "FROM_TOOL").expect("what the tool sets");
    assert_eq!(set.1.len(), 1 << 20);
    for broken in ["echo 'greenroom-environment={\"FROM_TOOL\": \"C4n4ry'", ""] {
        uv(broken);
        let error = Plan::detect(&machine.spec(), LONG).await.expect_err("it is cut off");
        check(&error, Code::InterpreterNotFound, &["bin/uv", "4 MiB", "--python"]);
        assert!(!error.to_string().contains("C4n4ry"), "{error}");
    }
}
