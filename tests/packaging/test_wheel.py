"""The wheel and the sdist, installed in clean environments."""

import re
import shutil
import stat
import sys
import tarfile
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from installed import ROOT, TOOLS, bare_environment, install, new_venv, only, run, succeed

# Where cargo keeps what the sdist is built from, from run to run.
SDIST_TARGET = ROOT / ".cache" / "sdist-target"


def test_one_wheel_serves_every_python_since_3_10(wheel: Path, version: str) -> None:
    assert re.fullmatch(rf"greenroom-{version}-cp310-abi3-manylinux_2_(\d+)_\w+\.whl", wheel.name)


def test_wheel_holds_the_package_and_the_native_command(wheel: Path, version: str) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        command = archive.getinfo(f"greenroom-{version}.data/scripts/greenroom")
        assert archive.read(command)[:4] == b"\x7fELF"
    assert (command.external_attr >> 16) & 0o777 == 0o755
    source = ROOT / "bindings-python" / "python"
    modules = {str(file.relative_to(source)) for file in source.rglob("*") if file.suffix in {".py", ".pyi", ".typed"}}
    modules |= {"greenroom/py.typed"}
    rest = {name for name in names - modules if not name.startswith(f"greenroom-{version}.dist-info/")}
    assert modules <= names
    assert rest == {"greenroom/_native.abi3.so", f"greenroom-{version}.data/scripts/greenroom"}


def test_metadata_says_what_it_needs(wheel: Path, version: str) -> None:
    with ZipFile(wheel) as archive:
        metadata = HeaderParser().parsestr(archive.read(f"greenroom-{version}.dist-info/METADATA").decode())
    assert metadata["Name"] == "greenroom"
    assert metadata["Version"] == version
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "THIRD-PARTY-NOTICES.txt"]
    classifiers = set(metadata.get_all("Classifier") or [])
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)} <= classifiers
    links = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL") or [])
    assert {"Homepage", "Documentation", "Repository", "Issues", "Changelog"} <= set(links)
    needed = metadata.get_all("Requires-Dist") or []
    assert [line for line in needed if "extra ==" not in line] == [], "the package itself needs nothing"
    assert [line for line in needed if "livekit-agents" in line]


def test_installed_command_is_the_native_program(wheel_env: Path, version: str, away: Path) -> None:
    command = wheel_env / "bin" / "greenroom"
    assert command.read_bytes()[:4] == b"\x7fELF"
    assert command.stat().st_mode & stat.S_IXUSR
    assert succeed(command, "--version").strip() == f"greenroom {version}"


def test_module_runs_the_same_command(wheel_env: Path, version: str, away: Path) -> None:
    assert succeed(wheel_env / "bin" / "python", "-m", "greenroom", "--version").strip() == f"greenroom {version}"
    # An exit status is the command's own.
    by_name, by_module = ([wheel_env / "bin" / "greenroom"], [wheel_env / "bin" / "python", "-m", "greenroom"])
    assert run(*by_name, "no-such-command").returncode == run(*by_module, "no-such-command").returncode == 2


def test_module_names_the_places_where_the_command_is_not(wheel: Path, tmp_path: Path) -> None:
    folder = new_venv(tmp_path / "env")
    install(folder, wheel)
    (folder / "bin" / "greenroom").unlink()
    done = run(folder / "bin" / "python", "-m", "greenroom", "--version", cwd=tmp_path)
    assert done.returncode == 3
    assert str(folder / "bin" / "greenroom") in done.stderr
    assert "pip install" in done.stderr


def test_module_finds_the_command_of_a_target_folder(
    wheel: Path, wheel_env: Path, tmp_path: Path, version: str
) -> None:
    python = new_venv(tmp_path / "env") / "bin" / "python"
    succeed(wheel_env / "bin" / "pip", "install", "--no-index", "--no-deps", "--target", tmp_path / "there", wheel)
    shown = succeed(python, "-m", "greenroom", "--version", env=bare_environment(PYTHONPATH=str(tmp_path / "there")))
    assert shown.strip() == f"greenroom {version}"


def test_import_takes_no_sdk_and_starts_no_thread(wheel_env: Path, version: str, away: Path) -> None:
    program = (
        "import sys, threading, greenroom\n"
        "print(greenroom.__version__, threading.active_count(), 'asyncio' in sys.modules,\n"
        "      any(name.startswith('livekit') for name in sys.modules))"
    )
    assert succeed(wheel_env / "bin" / "python", "-c", program).split() == [version, "1", "False", "False"]


def test_declarations_match_the_compiled_module(wheel_env: Path, away: Path) -> None:
    [packages] = wheel_env.glob("lib/python*/site-packages")
    environment = bare_environment(PYTHONPATH=str(packages))
    succeed(TOOLS / "stubtest", "greenroom._native", "--ignore-disjoint-bases", env=environment, timeout=110)


def test_sdist_holds_the_sources_of_module_and_command_only() -> None:
    with tarfile.open(only("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "Cargo.lock", "core/cli/src/main.rs", "bindings-python/build_backend.py"} <= names
    assert not [name for name in names if re.search(r"(^|/)(target|node_modules|greenroom\.data|\.cache)/", name)]
    assert not [name for name in names if name.endswith((".so", ".node"))]


@pytest.mark.timeout(1800)
def test_sdist_builds_with_cargo_alone(version: str, tmp_path: Path) -> None:
    folder = tmp_path / "env"
    succeed(sys.executable, "-m", "venv", folder)
    environment = bare_environment(
        PATH=path_with_cargo_only(),
        # The profile that builds fastest, and the dependencies' objects kept from run to run.
        GREENROOM_BUILD_PROFILE="dev",
        CARGO_PROFILE_DEV_DEBUG="0",
        CARGO_TARGET_DIR=str(SDIST_TARGET),
    )
    forget_our_crates()
    from_source = [folder / "bin" / "pip", "install", "--no-deps", "--no-cache-dir", only("*.tar.gz")]
    succeed(*from_source, cwd=tmp_path, env=environment, timeout=1750)
    assert succeed(folder / "bin" / "greenroom", "--version").strip() == f"greenroom {version}"
    shown = succeed(folder / "bin" / "python", "-c", "import greenroom; print(greenroom.__version__)", cwd=tmp_path)
    assert shown.strip() == version


@pytest.mark.parametrize(
    ("cargo", "found"),
    [
        (None, "cargo is not on PATH"),
        ("#!/bin/sh\necho 'cargo 1.74.1 (ecb9851af 2023-10-18)'\n", "this is cargo 1.74.1"),
        ("#!/bin/sh\necho 'no default toolchain' >&2\nexit 1\n", "`cargo --version` failed: no default toolchain"),
    ],
    ids=["missing", "old", "broken"],
)
def test_sdist_without_a_fitting_rust_says_which_is_needed(cargo: str | None, found: str, tmp_path: Path) -> None:
    succeed(sys.executable, "-m", "venv", tmp_path / "env")
    path = tmp_path / "path"
    path.mkdir()
    if cargo is not None:
        (path / "cargo").write_text(cargo)
        (path / "cargo").chmod(0o755)
    from_source = [tmp_path / "env" / "bin" / "pip", "install", "--no-deps", "--no-cache-dir", only("*.tar.gz")]
    done = run(*from_source, cwd=tmp_path, env=bare_environment(PATH=str(path)), timeout=110)
    assert done.returncode != 0
    [needed] = re.findall(r'^rust-version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    printed = done.stdout + done.stderr
    assert f"building it from source needs Rust {needed} or newer; {found}" in printed
    assert "https://rustup.rs" in printed
    assert "Traceback" not in printed


def forget_our_crates() -> None:
    """Has cargo build our crates anew: it goes by the times of files, and those in an sdist are always the same."""
    for pattern in ("greenroom*", "alsa-sys*", "os_info*"):
        for fingerprint in (SDIST_TARGET / "debug" / ".fingerprint").glob(pattern):
            shutil.rmtree(fingerprint)


def path_with_cargo_only() -> str:
    """A PATH with Rust and the system's own compiler: none of the repository's tools."""
    cargo = shutil.which("cargo")
    assert cargo
    return f"{Path(cargo).parent}:/usr/local/bin:/usr/bin:/bin"
