"""The native parts run on old distributions and need no library beyond the C library."""

import re
from pathlib import Path
from zipfile import ZipFile

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from installed import DIST, TOOLS, succeed

# The C library in its parts, its loader and the compiler's run time: no libstdc++, no OpenSSL, no libasound.
ALLOWED = re.compile(r"^(libc|libm|libdl|libpthread|librt|libgcc_s|ld-linux-[\w-]+)\.so\.\d+$")
GLIBC_FLOOR = (2, 28)


@pytest.fixture(params=["command", "wheel's module", "wheel's command", "addon", "npm's command"])
def native(
    request: pytest.FixtureRequest, wheel: Path, npm_project: Path, platform_tarball: Path, tmp_path: Path
) -> Path:
    """Each native file that people get."""
    platform_folder = npm_project / "node_modules" / platform_tarball.name.rsplit("-", 1)[0]
    match request.param:
        case "command":
            return DIST / "greenroom"
        case "wheel's module":
            return unpack(wheel, r"/_native\.abi3\.so$", tmp_path)
        case "wheel's command":
            return unpack(wheel, r"\.data/scripts/greenroom$", tmp_path)
        case "addon":
            return platform_folder / "greenroom.node"
        case _:
            return platform_folder / "greenroom"


def test_needs_only_the_c_library(native: Path) -> None:
    with native.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        assert isinstance(dynamic, DynamicSection)
        needed = [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]
    assert needed
    assert [library for library in needed if not ALLOWED.match(library)] == []


def test_needs_no_newer_glibc_than_the_wheel_says(native: Path) -> None:
    with native.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".gnu.version_r")
        assert isinstance(section, GNUVerNeedSection)
        versions = [aux.name for _, auxes in section.iter_versions() for aux in auxes]
    glibc = [tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in versions if "GLIBC_" in name]
    assert glibc
    assert max(glibc) <= GLIBC_FLOOR


def test_module_uses_only_the_stable_abi(wheel: Path) -> None:
    succeed(TOOLS / "abi3audit", "--strict", "--assume-minimum-abi3", "3.10", wheel)


def test_wheel_is_what_its_platform_tag_says(wheel: Path) -> None:
    shown = succeed(TOOLS / "auditwheel", "show", wheel)
    policy = re.search(r'following platform tag:\s+"manylinux_2_(\d+)_', shown)
    assert policy, shown
    assert int(policy[1]) <= GLIBC_FLOOR[1]


def unpack(wheel: Path, pattern: str, folder: Path) -> Path:
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if re.search(pattern, name)]
        return Path(archive.extract(name, folder))
