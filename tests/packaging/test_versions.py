"""What is said of releases of the SDKs: the page, the matrix that is tested and the declared ranges are of one mind."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MATRIX = json.loads((ROOT / "tests" / "matrix.json").read_text())
PAGE = (ROOT / "docs" / "versions.md").read_text()
SUITES = ["start", "in_process", "gate", "host", "attach"]


def rows(sdk: str, room_sdk: str) -> list[list[str]]:
    """The page's table of an SDK."""
    table = PAGE.split(f"| {sdk} | {room_sdk} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def expected(sdks: list[dict[str, str]], sdk: str, room_sdk: str) -> list[list[str]]:
    return [
        [one[sdk], one[room_sdk], *("no" if suite in one.get("lacks", []) else "yes" for suite in SUITES)]
        for one in sdks
    ]


def test_page_of_versions_has_the_rows_of_the_matrix() -> None:
    for sdks, sdk, room_sdk in [
        (MATRIX["python_sdks"], "livekit-agents", "livekit"),
        (MATRIX["node_sdks"], "@livekit/agents", "@livekit/rtc-node"),
    ]:
        assert rows(sdk, room_sdk) == expected(sdks, sdk, room_sdk)
    for version in (*MATRIX["pythons"][::4], *MATRIX["nodes"]):
        assert version in PAGE


def test_declared_ranges_begin_with_the_oldest_release_of_the_matrix_and_have_no_end() -> None:
    pyproject = (ROOT / "bindings-python" / "pyproject.toml").read_text()
    assert f'livekit = ["livekit-agents>={MATRIX["python_sdks"][0]["livekit-agents"]}"]' in pyproject
    manifest = json.loads((ROOT / "packages" / "greenroom" / "package.json").read_text())
    oldest = MATRIX["node_sdks"][0]
    # Types alone come of the protocol package, in whatever release the SDK brings.
    expected = {"@livekit/protocol": "*"} | {name: f">={oldest[name]}" for name in oldest if name.startswith("@")}
    assert manifest["peerDependencies"] == expected
    sdk = (ROOT / "packages" / "greenroom" / "src" / "sdk.ts").read_text()
    assert dict(re.findall(r"name: '(@livekit/[^']+)', oldest: '([^']+)'", sdk)) == {
        name: oldest[name] for name in oldest if name.startswith("@")
    }


def test_suites_run_on_the_newest_stable_release_of_the_matrix() -> None:
    requirements = (ROOT / "tests" / "requirements.in").read_text()
    stable = [one for one in MATRIX["python_sdks"] if re.fullmatch(r"[\d.]+", one["livekit-agents"])][-1]
    assert f"livekit-agents=={stable['livekit-agents']}\n" in requirements
    packages = json.loads((ROOT / "tests" / "node" / "package.json").read_text())["dependencies"]
    newest = MATRIX["node_sdks"][-1]
    assert {name: packages[name] for name in ("@livekit/agents", "@livekit/rtc-node")} == {
        name: newest[name] for name in ("@livekit/agents", "@livekit/rtc-node")
    }
