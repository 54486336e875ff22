"""What `make package` left in dist/, and how a test runs what it installs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
TOOLS = ROOT / ".cache" / "venvs" / "tools" / "bin"


def only(pattern: str) -> Path:
    """The one file in dist/ of this pattern."""
    found = sorted(DIST.glob(pattern))
    assert len(found) == 1, f"dist/ should have one {pattern}, has {[file.name for file in found]}: run make package"
    return found[0]


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, within a deadline, and keeps what it printed."""
    settings = {"capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL} | options
    return subprocess.run([str(word) for word in command], check=False, **settings)  # type: ignore[call-overload]


def succeed(*command: str | Path, **options: object) -> str:
    """Runs a command that must succeed and gives its standard output."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return str(done.stdout)


def bare_environment(**extra: str) -> dict[str, str]:
    """This process' environment without what would lead into the repository or an environment that is active."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH", "NODE_PATH", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden and not name.endswith("_LINKER")}
    return kept | extra


def new_venv(folder: Path) -> Path:
    """Makes an empty virtual environment."""
    succeed(TOOLS / "uv", "venv", "--quiet", "--no-project", "--python", sys.executable, folder)
    return folder


def install(environment: Path, *arguments: str | Path) -> None:
    """Installs into a virtual environment what needs no registry."""
    options = ["--quiet", "--offline", "--no-deps", "--python", environment / "bin" / "python"]
    succeed(TOOLS / "uv", "pip", "install", *options, *arguments)
