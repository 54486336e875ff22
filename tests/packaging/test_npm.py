"""The npm packages, installed in a clean project."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from installed import ROOT, bare_environment, run, succeed

TSC = ROOT / "packages" / "greenroom" / "node_modules" / "typescript" / "bin" / "tsc"
NOTICES = {"THIRD-PARTY-NOTICES.txt", "greenroom-cli.cdx.json", "greenroom-node.cdx.json"}
TYPE_ROOTS = ROOT / "packages" / "greenroom" / "node_modules" / "@types"


def members(tarball: Path) -> dict[str, int]:
    """The files of an npm tarball with their modes."""
    with tarfile.open(tarball) as archive:
        return {member.name.removeprefix("package/"): member.mode for member in archive.getmembers()}


def manifest(tarball: Path) -> dict[str, object]:
    """The package.json of an npm tarball."""
    with tarfile.open(tarball) as archive:
        file = archive.extractfile("package/package.json")
        assert file
        loaded: dict[str, object] = json.load(file)
        return loaded


def test_facade_holds_both_formats_with_their_declarations(facade_tarball: Path) -> None:
    expected = {"LICENSE", "README.md", "package.json", "dist/cjs/package.json"}
    sources = ROOT / "packages" / "greenroom" / "src"
    for source in sources.glob("*.*ts"):
        name, _, end = source.name.partition(".")
        declaration, script = f"d.{end}", end.replace("ts", "js")
        # The command is of one format.
        kinds = ("cjs",) if name == "bin" else ("esm", "cjs")
        expected |= {f"dist/{kind}/{name}.{declaration}" for kind in kinds} | {f"dist/cjs/{name}.{script}"}
        # As ES modules there is one file for each entry, and what they share.
        if name in ("addon", "index", "audio", "livekit"):
            expected.add(f"dist/esm/{name}.{script}")
    found = set(members(facade_tarball))
    shared = {name for name in found if re.fullmatch(r"dist/esm/(chunk|in-memory)-[0-9A-Z]{8}\.js", name)}
    assert found - shared == expected
    assert 0 < len(shared) < 10


def test_platform_package_holds_the_addon_and_the_command(platform_tarball: Path) -> None:
    files = members(platform_tarball)
    about = {"LICENSE", "README.md", "package.json", *NOTICES}
    assert set(files) == about | {"greenroom.node", "greenroom"}
    assert files["greenroom"] & 0o777 == 0o755


def test_manifests_fit_together(facade_tarball: Path, platform_tarball: Path, version: str) -> None:
    facade, platform = manifest(facade_tarball), manifest(platform_tarball)
    assert facade["version"] == platform["version"] == version
    assert facade["engines"] == platform["engines"] == {"node": ">=20"}
    assert facade["optionalDependencies"] == {platform["name"]: version}
    assert "scripts" not in facade, "no script runs at install"
    assert "scripts" not in platform
    assert facade.get("dependencies", {}) == {}
    assert (platform["os"], platform["cpu"], platform["libc"]) == (["linux"], ["x64"], ["glibc"])


def test_facade_imports_only_what_it_declares(facade_tarball: Path, version: str) -> None:
    facade = manifest(facade_tarball)
    declared = {"greenroom"}
    for kind in ("dependencies", "peerDependencies", "optionalDependencies"):
        named = facade.get(kind, {})
        assert isinstance(named, dict)
        declared |= set(named)
    imported = set()
    with tarfile.open(facade_tarball) as archive:
        for member in archive.getmembers():
            if member.name.endswith((".js", ".cjs", ".ts", ".cts")):
                file = archive.extractfile(member)
                assert file
                lines = [line for line in file.read().decode().splitlines() if not re.match(r"\s*(\*|//|/\*)", line)]
                imported |= set(
                    re.findall(r"(?:from |import |import\(|require\()['\"]([^'\"./][^'\"]*)", "\n".join(lines))
                )
    packages = {re.match(r"(@[^/]+/)?[^/]+", name)[0] for name in imported if not name.startswith("node:")}  # type: ignore[index]
    assert packages - declared == set()
    assert "@livekit/protocol" in packages


@pytest.mark.parametrize(
    ("file", "program"),
    [
        ("esm.mjs", "import { version } from 'greenroom'; console.log(version);"),
        ("cjs.cjs", "const { version } = require('greenroom'); console.log(version);"),
    ],
)
def test_both_formats_load(npm_project: Path, version: str, file: str, program: str) -> None:
    (npm_project / file).write_text(program)
    assert succeed("node", file, cwd=npm_project).strip() == version


def test_command_runs(npm_project: Path, version: str) -> None:
    command = npm_project / "node_modules" / ".bin" / "greenroom"
    assert succeed(command, "--version").strip() == f"greenroom {version}"
    assert run(command, "no-such-command").returncode == 2
    assert succeed("npx", "--no-install", "greenroom", "--version", cwd=npm_project).strip() == f"greenroom {version}"


def test_command_takes_nodes_place(npm_project: Path, platform_tarball: Path) -> None:
    name = platform_tarball.name.rsplit("-", 1)[0]
    args = "['-c', 'echo $$; cat; exit 7']"
    program = f"console.log(process.pid);require('{name}').replaceProcess('/bin/sh', {args}, process.execPath);"
    done = run("node", "-e", program, cwd=npm_project, stdin=None, input="through stdin")
    before, after, piped = done.stdout.splitlines()
    assert before == after
    assert piped == "through stdin"
    assert done.returncode == 7


def test_missing_platform_package_is_named(facade_tarball: Path, platform_tarball: Path, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{ "private": true }')
    succeed("npm", "install", "--omit=optional", "--no-audit", "--no-fund", facade_tarball, cwd=tmp_path)
    name = platform_tarball.name.rsplit("-", 1)[0]
    for command in (["node", "-e", "require('greenroom')"], ["npx", "--no-install", "greenroom", "--version"]):
        done = run(*command, cwd=tmp_path)
        assert done.returncode != 0
        assert f"the package {name}" in done.stderr
        assert f"npm install {name}@" in done.stderr


@pytest.mark.parametrize("file", ["module.mts", "common.cts"])
def test_types_are_seen(npm_project: Path, tmp_path: Path, file: str) -> None:
    def check(program: str) -> str:
        (npm_project / file).write_text(program)
        flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--types", "node"]
        done = run("node", TSC, *flags, "--typeRoots", TYPE_ROOTS, file, cwd=npm_project, env=bare_environment())
        return "" if done.returncode == 0 else done.stdout

    assert check("import { version } from 'greenroom'; export const shown: string = version;") == ""
    assert "not assignable" in check("import { version } from 'greenroom'; export const shown: number = version;")
