"""Builds what is measured: ours as people install it, and the peer `lk`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from driver.measure import Failed

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".cache"
DIST = ROOT / "dist"
SUITES_PYTHON = CACHE / "venvs" / "suites" / "bin" / "python"
SPEECH_PYTHON = CACHE / "venvs" / "speech" / "bin" / "python"
SUITES_NODE = ROOT / "tests" / "node"
PROFILE = os.environ.get("PROFILE", "release")

LK_MODULE = "github.com/livekit/livekit-cli/v2/cmd/lk"


def packages() -> None:
    """The wheel, the npm packages and the command, built and installed where the suites run."""
    for script in (".ci/package", ".ci/install"):
        run(script, [script], env={**os.environ, "PROFILE": PROFILE})


def rust() -> dict[str, Path]:
    """The Rust side of the benchmarks and the scripted agent."""
    crates = ["--package", "greenroom-benches", "--package", "greenroom-test-peer"]
    options = ["--profile", PROFILE, "--bins", "--message-format", "json-render-diagnostics", *crates]
    # The same settings as for the packages, so that each dependency is compiled once.
    command = ["bash", "-c", '. .ci/env.sh && exec cargo "$@"', "cargo", "build", *options]
    output = run("cargo build", command, capture=True)
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return {message["target"]["name"]: Path(message["executable"]) for message in messages if message.get("executable")}


def lk() -> Path:
    """LiveKit's command, from the Go registry at the versions of benches/lk/go.mod. It needs PortAudio's headers."""
    source = ROOT / "benches" / "lk"
    # One program for each set of versions.
    program = CACHE / "bench" / f"lk-{hashlib.sha256((source / 'go.sum').read_bytes()).hexdigest()[:12]}"
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise Failed("lk is built with Go, which is not installed (Debian: apt install golang)")
    if subprocess.run(["pkg-config", "--exists", "portaudio-2.0"], check=False).returncode != 0:
        raise Failed("lk is built with PortAudio, which is not installed (Debian: apt install portaudio19-dev)")
    env = {
        **os.environ,
        "GOMODCACHE": str(CACHE / "go" / "mod"),
        "GOCACHE": str(CACHE / "go" / "build"),
        # A module cache that `rm -r` can remove.
        "GOFLAGS": "-modcacherw -buildvcs=false",
    }
    options = ["-trimpath", "-tags", "portaudio_system", "-ldflags", "-s -w", "-o", str(program)]
    run("lk, which takes some minutes", ["go", "build", *options, LK_MODULE], cwd=source, env=env)
    return program


def audio_python() -> Path:
    """An interpreter with the peers of audio and a voice, in an environment of its own."""
    wanted = ROOT / "benches" / "python" / "audio-requirements.txt"
    folder = CACHE / "bench" / f"audio-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    # Written when all is installed.
    done = folder / "complete"
    if not done.exists():
        run("python3 -m venv", [sys.executable, "-m", "venv", "--clear", str(folder)])
        options = ["--quiet", "--disable-pip-version-check", "--requirement", str(wanted)]
        run("the peers of audio", [str(python), "-m", "pip", "install", *options])
        done.touch()
    return python


def run(
    what: str, command: list[str], cwd: Path = ROOT, env: dict[str, str] | None = None, capture: bool = False
) -> str:
    """Runs a build step; what it says goes to standard error."""
    print("==>", what, file=sys.stderr, flush=True)
    stdout = subprocess.PIPE if capture else sys.stderr
    done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{what} ended with exit status {done.returncode}")
    return done.stdout or ""
