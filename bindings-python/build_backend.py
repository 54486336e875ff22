"""PEP 517 backend: maturin builds the wheel, and the native command rides along as the script `greenroom`.

A wheel's `<name>.data/scripts/` is copied to the environment's scripts folder as it is, so what pip installs as
`greenroom` is the Rust program itself and starts without a Python interpreter. maturin packs that folder but builds
only the extension module, so this backend builds the command first. It needs cargo and a C linker, nothing more.

The cargo profile is `release`; the environment variable GREENROOM_BUILD_PROFILE names another.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import maturin
from maturin import build_sdist, get_requires_for_build_sdist, get_requires_for_build_wheel

__all__ = [
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]

# The crate is beside this file in the repository and in an sdist; pyproject.toml, whose folder is the working
# directory of every PEP 517 hook, is beside it in the repository only.
MANIFEST = Path(__file__).resolve().parent / "Cargo.toml"
SCRIPTS = Path("greenroom.data", "scripts")

ConfigSettings = Mapping[str, Any] | None


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: ConfigSettings = None) -> str:
    """Writes the wheel's metadata without a build (PEP 517)."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)  # maturin insists on the folder even here
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(
    wheel_directory: str, config_settings: ConfigSettings = None, metadata_directory: str | None = None
) -> str:
    """Builds the command and then the wheel that carries it; gives the wheel's file name (PEP 517)."""
    profile = os.environ.get("GREENROOM_BUILD_PROFILE", "release")
    stage_command(build_command(profile))
    settings = {**(config_settings or {}), "maturin.build-args": f"--profile {profile}"}
    return maturin.build_wheel(wheel_directory, settings, metadata_directory)


def build_command(profile: str) -> Path:
    """Builds the program `greenroom` with cargo and gives its path."""
    command = ["cargo", "build", "--manifest-path", str(MANIFEST), "--package", "greenroom-cli", "--bin", "greenroom"]
    command += ["--profile", profile, "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        sys.exit(f"error: `{' '.join(command)}` failed with exit status {built.returncode}")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["executable"]:
            return Path(message["executable"])
    sys.exit(f"error: `{' '.join(command)}` built no program")


def stage_command(program: Path) -> None:
    """Puts the program where maturin finds the wheel's scripts."""
    shutil.rmtree(SCRIPTS, ignore_errors=True)
    SCRIPTS.mkdir(parents=True)
    staged = SCRIPTS / program.name
    shutil.copyfile(program, staged)
    staged.chmod(0o755)
