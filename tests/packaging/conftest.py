"""The packages under test and clean environments in which they are installed."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from installed import ROOT, only, succeed


@pytest.fixture(scope="session")
def version() -> str:
    """The version that Cargo.toml gives all packages."""
    found = re.search(r'^\[workspace\.package\]\nversion = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The built wheel."""
    return only("*.whl")


@pytest.fixture(scope="session")
def facade_tarball(version: str) -> Path:
    """The npm package that people install."""
    return only(f"greenroom-{version}.tgz")


@pytest.fixture(scope="session")
def platform_tarball(version: str) -> Path:
    """The npm package of this platform's native parts."""
    return only(f"greenroom-*-{version}.tgz")


@pytest.fixture(scope="session")
def wheel_env(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with nothing but pip and the wheel, which pip installed."""
    folder = tmp_path_factory.mktemp("wheel") / "env"
    succeed(sys.executable, "-m", "venv", folder)
    succeed(folder / "bin" / "pip", "install", "--no-index", "--no-deps", wheel)
    return folder


@pytest.fixture(scope="session")
def npm_project(facade_tarball: Path, platform_tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new npm project with the packages and nothing else."""
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{ "private": true }')
    succeed("npm", "install", "--no-audit", "--no-fund", facade_tarball, platform_tarball, cwd=folder)
    return folder


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Path]:
    """An empty working directory outside the repository, so that nothing is imported from there."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)
