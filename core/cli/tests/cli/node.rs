//! JavaScript agents as people lay them out and run them, on the released SDK and the released
//! runners.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{Outcome, Stage, wait};

/// An agent that says nothing, whose file may go on with anything.
const AGENT: &str = "\
import { ServerOptions, cli, defineAgent, voice } from '@livekit/agents';
import { fileURLToPath } from 'node:url';
export default defineAgent({ entry: async (ctx) => {
  const session = new voice.AgentSession({});
  await session.start({ agent: new voice.Agent({ instructions: 'x' }), room: ctx.room });
  await ctx.connect();
} });
const me = fileURLToPath(import.meta.url);
if (process.argv[1] === me) cli.runApp(new ServerOptions({ agent: me }));
";

/// The same for CommonJS, in TypeScript.
const COMMON_JS_AGENT: &str = "\
import { ServerOptions, cli, defineAgent, voice, type JobContext } from '@livekit/agents';
export default defineAgent({ entry: async (ctx: JobContext) => {
  const session = new voice.AgentSession({});
  await session.start({ agent: new voice.Agent({ instructions: 'x' }), room: ctx.room });
  await ctx.connect();
} });
if (process.argv[1] === __filename) cli.runApp(new ServerOptions({ agent: __filename }));
";

/// A folder or a program that the tests are given, which on CI has to be there.
fn given(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "{variable} has to be set on CI");
    Some(std::path::absolute(path?).unwrap())
}

/// A project with the released SDK and some of the released runners in its `node_modules`.
struct Project {
    stage: Stage,
    newer_node: PathBuf,
}

impl Project {
    fn new(packages: &[&str]) -> Option<Self> {
        let sdk = given("GREENROOM_TEST_NODE_MODULES")?;
        let runners = given("GREENROOM_TEST_RUNNERS")?;
        let newer_node = given("GREENROOM_TEST_NEWER_NODE")?;
        let stage = Stage::new();
        fs::remove_file(stage.path().join("agent.py")).unwrap();
        let project = Self { stage, newer_node };
        project.file("package.json", r#"{"type": "module"}"#);
        project.link("node_modules/@livekit", &sdk.join("@livekit"));
        for package in packages {
            project.link(&format!("node_modules/{package}"), &runners.join(package));
        }
        Some(project)
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.stage.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn link(&self, name: &str, original: &Path) {
        let path = self.stage.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(original, path).unwrap();
    }

    /// `start` with more arguments, in a project where nothing lies above.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.stage.command(&[&["start"], args].concat());
        for name in ["NODE_OPTIONS", "NODE_PATH"] {
            command.env_remove(name);
        }
        command
    }

    fn start(&self, args: &[&str]) -> Outcome {
        wait(self.command(args))
    }

    /// On a Node that takes the types out of TypeScript by itself.
    fn start_on_newer_node(&self, args: &[&str]) -> Outcome {
        let node = self.newer_node.to_str().unwrap();
        self.start(&[args, &["--node", node]].concat())
    }

    /// Node ends with this construct named, and the way out.
    #[track_caller]
    fn names(&self, parts: &[&str]) {
        let mut outcome = self.start_on_newer_node(&["src/main.ts"]).code(3);
        for part in parts.iter().chain(&["npm i -D tsx", "--node"]) {
            outcome = outcome.told(part);
        }
    }

    #[track_caller]
    fn end(&self) {
        self.stage.run(&["end"]).ok();
    }
}

/// Everything that Node alone does not do with TypeScript.
fn with_all_constructs(project: &Project) {
    project
        .file("tsconfig.json", r#"{"compilerOptions": {"module": "nodenext", "paths": {"@/*": ["./src/*"]}, "jsx": "react"}}"#)
        .file("src/cup.ts", "export enum Size { small }\nexport type Cup = { size: Size };\n")
        .file("src/mug.ts", "export class Mug { constructor(readonly size: number) {} }\nexport namespace Shop { export const open = true; }\n")
        .file("src/view.tsx", "const React = { createElement: (name: string) => name };\nexport const view = <div />;\n")
        .file("packages/beans/package.json", r#"{"name": "@acme/beans", "type": "module", "exports": "./src/index.ts"}"#)
        .file("packages/beans/src/index.ts", "export { roast } from './roast.js';\n")
        .file("packages/beans/src/roast.ts", "export const roast: string = 'dark';\n");
    project.link("node_modules/@acme/beans", &project.stage.path().join("packages/beans"));
    let imports = "\
import { Size } from './cup.js';
import { Mug, Shop } from './mug';
import { Size as Same } from '@/cup';
import { view } from './view.js';
import { roast } from '@acme/beans';
if (Same.small !== Size.small || new Mug(1).size !== 1 || !Shop.open || view !== 'div' || roast !== 'dark') throw new Error('wrong');
";
    project.file("src/main.ts", &format!("{imports}{AGENT}"));
}

#[test]
fn typescript_with_tsx_in_a_script_is_run_with_tsx() {
    let Some(project) = Project::new(&["tsx"]) else { return };
    with_all_constructs(&project);
    project.file("package.json", r#"{"type": "module", "scripts": {"dev": "tsx watch src/main.ts dev"}}"#);
    project.start(&[]).ok().told("run by tsx (script \"dev\" of package.json)");
    project.end();
}

#[test]
fn typescript_with_tsx_in_dependencies_is_run_with_tsx_also_on_a_newer_node() {
    let Some(project) = Project::new(&["tsx"]) else { return };
    with_all_constructs(&project);
    project.file("package.json", r#"{"type": "module", "devDependencies": {"tsx": "4"}}"#);
    project.start_on_newer_node(&["src/main.ts"]).ok().told("run by tsx (devDependencies of package.json)");
    project.end();
}

#[test]
fn typescript_with_ts_node_is_run_with_ts_node() {
    let Some(project) = Project::new(&["ts-node", "typescript", "@types"]) else { return };
    project
        .file("tsconfig.json", r#"{"compilerOptions": {"module": "commonjs", "target": "es2022", "esModuleInterop": true, "skipLibCheck": true}}"#)
        .file("package.json", r#"{"scripts": {"start": "ts-node -T src/main.ts start"}}"#)
        .file("src/cup.ts", "export enum Size { small }\n")
        .file("src/main.ts", &format!("import {{ Size }} from './cup';\nSize.small;\n{COMMON_JS_AGENT}"));
    project.start(&[]).ok().told("run by ts-node (script \"start\" of package.json)");
    project.end();
}

#[test]
fn typescript_with_ts_node_esm_is_run_with_its_loader() {
    let Some(project) = Project::new(&["ts-node", "typescript", "@types"]) else { return };
    project
        .file(
            "tsconfig.json",
            r#"{"compilerOptions": {"module": "nodenext", "target": "es2022", "skipLibCheck": true}}"#,
        )
        .file("package.json", r#"{"type": "module", "scripts": {"dev": "ts-node-esm -T src/main.ts dev"}}"#)
        .file("src/cup.ts", "export enum Size { small }\n")
        .file("src/main.ts", &format!("import {{ Size }} from './cup.js';\nSize.small;\n{AGENT}"));
    project.start(&[]).ok().told("run by ts-node (script \"dev\" of package.json)");
    project.end();
    project.file("package.json", r#"{"type": "module"}"#);
    project.start(&["src/main.ts", "--node", "ts-node", "-n", "named"]).ok().told("run by ts-node");
    project.stage.run(&["end", "-n", "named"]).ok();
}

#[test]
fn node_options_with_tsx_run_typescript_on_an_old_node() {
    let Some(project) = Project::new(&["tsx"]) else { return };
    with_all_constructs(&project);
    let mut command = project.command(&["src/main.ts"]);
    command.env("NODE_OPTIONS", "--import tsx");
    wait(command).ok().told("run by tsx");
    project.end();
}

#[test]
fn import_of_a_js_file_that_is_typescript_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project.file("src/cup.ts", "export const cup = 1;\n").file("src/main.ts", "import './cup.js';\n");
    project.names(&["src/main.ts imports src/cup.js, which is in fact src/cup.ts"]);
}

#[test]
fn import_without_an_extension_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project.file("src/cup.ts", "export const cup = 1;\n").file("src/main.ts", "import './cup';\n");
    project.names(&["src/main.ts imports src/cup, without the extension of src/cup.ts"]);
    project.file("src/cups/index.ts", "export {};\n").file("src/main.ts", "import './cups';\n");
    project.names(&["src/main.ts imports src/cups, without the extension of src/cups/index.ts"]);
}

#[test]
fn syntax_that_is_more_than_types_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    for (text, construct) in [
        ("enum Size { small }\n", "an enum (src/main.ts:1)"),
        ("class Cup { constructor(private size: number) {} }\n", "a parameter property (src/main.ts:1)"),
        ("namespace Shop { export const open = 1; }\n", "a namespace declaration (src/main.ts:1)"),
        ("\nimport fs = require('fs');\n", "an import equals declaration (src/main.ts:2)"),
        ("const mark = (_: any, __: any) => {};\n@mark\nclass Cup {}\n", "decorators: @mark (src/main.ts:2)"),
        (
            "const mark = (_: any) => (_: any, __: any) => {};\n@mark({ apiKey: 'sk-1' })\nclass Cup {}\n",
            "decorators: @mark (src/main.ts:2)",
        ),
    ] {
        project.file("src/main.ts", text);
        project.names(&[construct]);
    }
}

#[test]
fn path_of_tsconfig_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project
        .file(
            "tsconfig.base.json",
            "{\"compilerOptions\": { // ours\n \"paths\": {\"@/*\": [\"./src/*\"],}}}",
        )
        .file(
            "tsconfig.json",
            r#"{"extends": "./tsconfig.base.json", "compilerOptions": {"baseUrl": "./lib"}}"#,
        )
        .file("lib/beans/roast.ts", "export {};\n")
        .file("src/cup.ts", "export const cup = 1;\n")
        .file("src/main.ts", "import '@/cup';\n");
    project.names(&["@/cup is a path of tsconfig.json"]);
    project.file("src/main.ts", "import 'beans/roast';\n");
    project.names(&["beans is a path of tsconfig.json"]);
}

#[test]
fn typescript_of_a_package_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project
        .file(
            "node_modules/beans/package.json",
            r#"{"name": "beans", "type": "module", "exports": "./index.ts"}"#,
        )
        .file("node_modules/beans/index.ts", "export const beans: number = 1;\n")
        .file("src/main.ts", "import 'beans';\n");
    project.names(&["node_modules/beans/index.ts is TypeScript, which Node does not run in node_modules"]);
}

#[test]
fn type_that_is_imported_as_a_value_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project
        .file("src/cup.ts", "export type Cup = { size: number };\n")
        .file("src/main.ts", "import { Cup } from './cup.ts';\nexport const cup: Cup = { size: 1 };\n");
    project.names(&["Cup may be a type", "import type { Cup }"]);
}

#[test]
fn tsx_file_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project
        .file("src/view.tsx", "export const view = <div />;\n")
        .file("src/main.ts", "import './view.tsx';\n");
    project.names(&["does not run .tsx files (src/view.tsx)"]);
    project
        .start_on_newer_node(&["src/view.tsx"])
        .code(2)
        .told("view.tsx is TypeScript or JavaScript with JSX")
        .told("npm i -D tsx");
}

#[test]
fn package_that_is_missing_is_named_with_the_command_that_installs_it() {
    let Some(project) = Project::new(&[]) else { return };
    project.file("src/main.ts", "import 'beans/dark.js';\n");
    project
        .start_on_newer_node(&["src/main.ts"])
        .code(3)
        .told("Cannot find package 'beans'")
        .told("run `npm install beans` in");
    project.file("package.json", r#"{"type": "module", "dependencies": {"beans": "1"}}"#);
    project.start_on_newer_node(&["src/main.ts"]).code(3).told("run `npm install` in");
}

#[test]
fn import_of_a_js_file_without_its_extension_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project.file("cup.js", "export const cup = 1;\n").file("agent.js", "import './cup';\n");
    project.start(&["agent.js"]).code(3).told("write the whole name in agent.js: cup is cup.js");
}

#[test]
fn installation_that_is_not_whole_is_named() {
    let Some(project) = Project::new(&[]) else { return };
    project
        .file(
            "node_modules/beans/package.json",
            r#"{"name": "beans", "type": "module", "main": "dist/index.js"}"#,
        )
        .file("agent.mjs", "import 'beans';\n");
    project
        .start(&["agent.mjs"])
        .code(3)
        .told("beans is not whole")
        .told("rm -rf node_modules && npm install");
}

#[test]
fn sdk_in_node_path_is_found_where_node_finds_it() {
    let Some(project) = Project::new(&[]) else { return };
    let sdk = project.stage.path().join("node_modules");
    fs::rename(&sdk, project.stage.path().join("shared")).unwrap();
    let common_js = COMMON_JS_AGENT
        .replace("import {", "const {")
        .replace(", type JobContext } from '@livekit/agents'", " } = require('@livekit/agents')")
        .replace("(ctx: JobContext)", "(ctx)")
        .replace("export default", "exports.default =");
    project.file("agent.cjs", &common_js).file("agent.mjs", AGENT);
    project.start(&["agent.cjs"]).code(2).told("@livekit/agents is not installed");
    let with_path = |file: &str| {
        let mut command = project.command(&[file]);
        command.env("NODE_PATH", project.stage.path().join("shared"));
        wait(command)
    };
    with_path("agent.cjs").ok();
    project.end();
    with_path("agent.mjs")
        .code(3)
        .told("NODE_PATH")
        .told("`import` does not")
        .told("npm install @livekit/agents");
}

#[test]
fn sdk_of_the_workspace_root_serves_a_member() {
    let Some(project) = Project::new(&["tsx"]) else { return };
    project
        .file("package.json", r#"{"workspaces": ["apps/*"], "devDependencies": {"tsx": "4"}}"#)
        .file(
            "apps/agent/package.json",
            r#"{"name": "agent", "type": "module", "scripts": {"dev": "tsx src/main.ts dev"}}"#,
        )
        .file("apps/agent/src/cup.ts", "export enum Size { small }\n")
        .file("apps/agent/src/main.ts", &format!("import './cup.js';\n{AGENT}"));
    let mut command = project.command(&[]);
    command.current_dir(project.stage.path().join("apps/agent"));
    wait(command).ok().told("run by tsx (script \"dev\" of package.json)");
    project.end();
}

#[test]
fn package_as_pnpm_links_it_is_found_by_its_real_folder() {
    let Some(project) = Project::new(&[]) else { return };
    // The SDK is a link into the store; only there lie the packages that it needs.
    let store = project.stage.path().join("node_modules/.pnpm/agents/node_modules");
    fs::create_dir_all(&store).unwrap();
    fs::rename(project.stage.path().join("node_modules/@livekit"), store.join("@livekit")).unwrap();
    fs::create_dir_all(project.stage.path().join("node_modules/@livekit")).unwrap();
    project.link("node_modules/@livekit/agents", &store.join("@livekit/agents"));
    project.file("pnpm-lock.yaml", "").file("agent.mjs", AGENT);
    project.start(&[]).ok();
    project.end();
}

#[test]
fn plug_n_play_project_is_run_without_node_modules() {
    let Some(project) = Project::new(&[]) else { return };
    let store = project.stage.path().join("store");
    fs::rename(project.stage.path().join("node_modules"), &store).unwrap();
    // What Yarn writes does the same, for every package, out of its archives.
    project
        .file("src/agent.mjs", AGENT)
        .file(
            ".pnp.cjs",
            "const Module = require('node:module');
             const original = Module._resolveFilename;
             Module._resolveFilename = (request, ...rest) =>
               original(request === '@livekit/agents' ? `${__dirname}/store/@livekit/agents` : request, ...rest);",
        )
        .file(
            ".pnp.loader.mjs",
            "const sdk = new URL('./store/@livekit/agents/dist/index.js', import.meta.url).href;
             export const resolve = (specifier, context, next) =>
               next(specifier === '@livekit/agents' ? sdk : specifier, context);",
        );
    project.start(&["src/agent.mjs"]).ok();
    project.end();
    fs::remove_file(project.stage.path().join(".pnp.cjs")).unwrap();
    project.start(&["src/agent.mjs"]).code(2).told("@livekit/agents is not installed");
}

#[test]
fn named_bun_and_deno_run_the_agent() {
    let Some(project) = Project::new(&[]) else { return };
    let runners = given("GREENROOM_TEST_RUNNERS").unwrap();
    project.file("src/cup.ts", "export enum Size { small }\n");
    project.file("src/main.ts", &format!("import {{ Size }} from './cup.ts';\nSize.small;\n{AGENT}"));
    let deno = runners.join(".bin/deno");
    project
        .start(&["src/main.ts", "--node", deno.to_str().unwrap(), "--", "run", "-A"])
        .ok()
        .told("run by Deno 2.");
    project.end();
    project.link("node_modules/.bin/bun", &runners.join(".bin/bun"));
    project
        .file("package.json", r#"{"type": "module", "scripts": {"dev": "bun run --hot src/main.ts dev"}}"#);
    project.start(&[]).ok().told("run by Bun 1.").told("(script \"dev\" of package.json)");
    project.end();
}

#[test]
fn bun_in_the_place_of_node_runs_the_agent() {
    let Some(project) = Project::new(&["tsx"]) else { return };
    let bun = given("GREENROOM_TEST_RUNNERS").unwrap().join(".bin/bun");
    with_all_constructs(&project);
    project.file("package.json", r#"{"type": "module", "devDependencies": {"tsx": "4"}}"#);
    // As `bun --bun` puts itself on PATH.
    project.link("bin/node", &bun);
    let mut command = project.command(&["src/main.ts"]);
    command.env("PATH", project.stage.path().join("bin"));
    command.env("GREENROOM_HOST_RUNTIME", fs::canonicalize(&bun).unwrap());
    wait(command).ok().told("run by Bun 1.");
    project.end();
}

#[test]
fn machine_without_node_uses_the_host_of_the_npm_command() {
    let Some(project) = Project::new(&[]) else { return };
    project.file("agent.mjs", AGENT);
    let without_node = |host: Option<&Path>| {
        let mut command = project.command(&["agent.mjs"]);
        command.env("PATH", "/nowhere");
        if let Some(host) = host {
            command.env("GREENROOM_HOST_RUNTIME", host);
        }
        wait(command)
    };
    without_node(None).code(2).told("no Node was found").told("bun or deno");
    without_node(Some(&project.newer_node)).ok();
    project.end();
}
