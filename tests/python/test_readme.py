"""The whole files in README.md, named by their first line, run with the example agents."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\w+\n(?:#|//) (?P<name>[\w.]+)\n(?P<source>.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = {found["name"]: found["source"] for found in BLOCK.finditer((ROOT / "README.md").read_text())}


def command(file: str) -> list[str]:
    """Returns the command with which a reader runs an example."""
    if file.endswith(".test.mjs"):
        return ["node", "--test", file]
    if file.endswith(".mjs"):
        return ["node", file]
    if file.startswith("test_"):
        return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
    return [sys.executable, file]


def test_readme_has_an_example_for_each_kind_of_user():
    assert EXAMPLES.keys() == {
        "test_agent.py",
        "test_barista.py",
        "agent.test.mjs",
        "speech.py",
        "meter.py",
        "meter.mjs",
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_readme_example_runs(name: str, tmp_path: Path):
    language = "node" if name.endswith(".mjs") else "python"
    for file in (ROOT / "examples" / language).glob("*.*"):
        if file.is_file():
            shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "node" / "node_modules")
    (tmp_path / name).write_text(EXAMPLES[name])
    ran = subprocess.run(command(name), cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if name == "speech.py":
        assert ran.stdout.startswith("hello there -> echo hello there\n")
        assert "\nTrue " in ran.stdout
        assert (tmp_path / "reply.wav").exists()
