"""PEP 517 backend: maturin builds the wheel, and the native command rides along as the script `greenroom`.

A wheel's `<name>.data/scripts/` is copied to the environment's scripts folder as it is, so what pip installs as
`greenroom` is the Rust program itself and starts without a Python interpreter. maturin packs that folder but builds
only the extension module, so this backend builds the command first. It needs cargo and a C linker, nothing more.

The cargo profile is `release`; the environment variable GREENROOM_BUILD_PROFILE names another. Rust is the user's own:
maturin would have one downloaded where cargo is missing, for its own part of the build only.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import maturin
from maturin import build_sdist, get_requires_for_build_sdist

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


def get_requires_for_build_wheel(config_settings: ConfigSettings = None) -> list[str]:
    """Needs no package besides maturin, but Rust: the first hook of a build checks for it (PEP 517)."""
    require_rust()
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: ConfigSettings = None) -> str:
    """Writes the wheel's metadata without a build (PEP 517)."""
    require_rust()
    SCRIPTS.mkdir(parents=True, exist_ok=True)  # maturin insists on the folder even here
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(
    wheel_directory: str, config_settings: ConfigSettings = None, metadata_directory: str | None = None
) -> str:
    """Builds the command and then the wheel that carries it; gives the wheel's file name (PEP 517)."""
    require_rust()
    write_notices()
    profile = os.environ.get("GREENROOM_BUILD_PROFILE", "release")
    stage_command(build_command(profile))
    settings = {**(config_settings or {}), "maturin.build-args": f"--profile {profile}"}
    return maturin.build_wheel(wheel_directory, settings, metadata_directory)


def require_rust() -> None:
    """Ends the build with a way out where cargo is missing, does not run, or is too old for the sources."""
    needed = rust_version()
    try:
        shown = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        found = "cargo is not on PATH"
    except (OSError, subprocess.CalledProcessError) as error:
        found = f"`cargo --version` failed: {(getattr(error, 'stderr', None) or str(error)).strip()}"
    else:
        version = re.match(r"cargo (\d+)\.(\d+)", shown)
        if version and (int(version[1]), int(version[2])) >= tuple(map(int, needed.split(".")[:2])):
            return
        found = f"this is {shown.strip()}"
    sys.exit(
        f"error: no wheel of greenroom fits this platform or Python, and building it from source needs Rust {needed} "
        f"or newer; {found}. Install or update Rust, see https://rustup.rs, and try again"
    )


def rust_version() -> str:
    """The oldest Rust that builds the sources, as the workspace's Cargo.toml says."""
    for folder in MANIFEST.parents:
        manifest = folder / "Cargo.toml"
        found = manifest.is_file() and re.search(r'^rust-version = "([\d.]+)"$', manifest.read_text(), re.MULTILINE)
        if found:
            return found[1]
    raise LookupError(f"no Cargo.toml above {MANIFEST} has a rust-version")


def write_notices() -> None:
    """Writes what pyproject.toml names of the linked crates, in a checkout that lacks it; an sdist holds it."""
    script = MANIFEST.parent.parent / ".ci" / "third-party"
    files = [Path("THIRD-PARTY-NOTICES.txt"), Path("greenroom-cli.cdx.json")]
    if script.is_file() and not all(file.is_file() for file in files):
        subprocess.run([sys.executable, str(script), "."], check=True)


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
