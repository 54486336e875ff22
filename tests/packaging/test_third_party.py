"""What is shipped says whose code is in it, and under which terms."""

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from installed import DIST, ROOT, only

NOTICES = "THIRD-PARTY-NOTICES.txt"


def in_wheel(wheel: Path, version: str, name: str) -> bytes:
    """A file of the wheel's metadata."""
    with ZipFile(wheel) as archive:
        return archive.read(f"greenroom-{version}.dist-info/{name}")


def in_tarball(tarball: Path, name: str) -> bytes:
    """A file of a tarball, below its only folder."""
    with tarfile.open(tarball) as archive:
        [member] = [member for member in archive.getmembers() if member.name.partition("/")[2] == name]
        file = archive.extractfile(member)
        assert file
        return file.read()


def components(bill: bytes) -> set[tuple[str, str]]:
    """The names and versions in a bill of materials."""
    return {(one["name"], one["version"]) for one in json.loads(bill)["components"]}


@pytest.fixture(params=["greenroom-cli", "greenroom-node"])
def bill(request: pytest.FixtureRequest, platform_tarball: Path) -> Any:
    """A bill of materials of ours."""
    return json.loads(in_tarball(platform_tarball, f"{request.param}.cdx.json"))


def test_every_package_carries_the_same_notices(wheel: Path, version: str, platform_tarball: Path) -> None:
    shipped = in_wheel(wheel, version, f"licenses/{NOTICES}")
    assert len(shipped) > 100_000
    assert in_tarball(platform_tarball, NOTICES) == shipped
    assert in_tarball(only("*.tar.gz"), NOTICES) == shipped
    assert (DIST / NOTICES).read_bytes() == shipped


def test_notices_name_each_crate_that_is_linked(wheel: Path, version: str, platform_tarball: Path) -> None:
    text = (DIST / NOTICES).read_text()
    named = set(re.findall(r"^([\w-]+) (\d\S*) \(", text, re.MULTILINE))
    ours = {"alsa-sys", "os_info"}
    linked = set[tuple[str, str]]()
    for name in ("greenroom-cli.cdx.json", "greenroom-node.cdx.json"):
        linked |= components(in_tarball(platform_tarball, name))
    # Cargo's own list agrees.
    command = ["cargo", "tree", "--locked", "--package=greenroom-cli", "--edges=normal,no-proc-macro", "--prefix=none"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    linked |= set(re.findall(r"^([\w-]+) v(\S+)", listed, re.MULTILINE))
    others = {(name, of) for name, of in linked if not name.startswith("greenroom") and name not in ours}
    assert len(others) > 200
    assert others - named == set()
    for holder in ("WebRTC Project Authors", "Apache License", "Amazon.com"):
        assert holder in text


def test_bills_of_materials_are_complete(bill: Any, version: str) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["version"] == version
    refs = [one["bom-ref"] for one in bill["components"]]
    assert len(refs) == len(set(refs)) > 100
    assert all(one["purl"].startswith("pkg:cargo/") and one["licenses"] for one in bill["components"])
    known = {*refs, bill["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in bill["dependencies"]} == known
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= known


def test_wheel_has_bills_of_module_and_command(wheel: Path, version: str) -> None:
    module = components(in_wheel(wheel, version, "sboms/greenroom-python.cyclonedx.json"))
    assert "pyo3" in {name for name, _ in module}
    command = in_wheel(wheel, version, "sboms/greenroom-cli.cdx.json")
    assert "clap" in {name for name, _ in components(command)}
    assert (DIST / "greenroom-cli.cdx.json").read_bytes() == command


def test_each_crate_that_is_published_carries_its_license() -> None:
    listed = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--locked", "--format-version=1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    published = [one for one in json.loads(listed)["packages"] if one["publish"] is None]
    assert len(published) >= 9
    license_text = (ROOT / "LICENSE").read_bytes()
    for crate in published:
        folder = Path(crate["manifest_path"]).parent
        files = subprocess.run(
            ["cargo", "package", "--list", "--allow-dirty", "--package", crate["name"]],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.split()
        assert "LICENSE" in files, crate["name"]
        assert (folder / "LICENSE").read_bytes() == license_text
