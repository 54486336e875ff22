"""tests/upstream.json names the tests of ours that hold what LiveKit's own mean to hold: each of them is there."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = json.loads((ROOT / "tests" / "upstream.json").read_text())
INTENTS = {intent: ours for suite, intents in UPSTREAM.items() if suite != "about" for intent, ours in intents.items()}
# How a test of that name is written in a file of that kind.
WRITTEN = {".py": "def {}(", ".rs": "fn {}(", ".mjs": "{}"}


@pytest.mark.parametrize("intent", INTENTS)
def test_an_intent_of_upstream_has_tests(intent: str) -> None:
    assert INTENTS[intent], f"nothing holds {intent!r}"
    for test in INTENTS[intent]:
        path, _, name = test.partition("::")
        assert WRITTEN[Path(path).suffix].format(name) in (ROOT / path).read_text(), f"{path} has no test {name!r}"
