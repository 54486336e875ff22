"""tests/env_cases.json says what python-dotenv reads, and greenroom signs with the same."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import dotenv
import pytest

import greenroom

CASES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "env_cases.json").read_text(encoding="utf-8"))
SIGNING = {name: case["expected"]["S"] for name, case in CASES.items() if case["expected"].get("S")}


@pytest.mark.parametrize("name", CASES)
def test_table_says_what_python_dotenv_reads(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    file = tmp_path / ".env"
    file.write_bytes(case["text"].encode())
    found = dotenv.dotenv_values(file)
    expected = {**case["expected"], **case.get("python-dotenv", {})}
    assert {variable: found.get(variable) for variable in expected} == expected


@pytest.mark.parametrize("name", SIGNING)
def test_token_is_signed_with_the_secret_of_the_table(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENROOM_AUDIT_LOG", str(tmp_path / "audit.jsonl"))
    for variable in ("URL", "PUBLIC_URL", "API_KEY", "API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{variable}", raising=False)
    text = CASES[name]["text"].replace("S=", "LIVEKIT_API_SECRET=").replace("S ", "LIVEKIT_API_SECRET ")
    text = text.replace("'S'", "'LIVEKIT_API_SECRET'").replace("S\t", "LIVEKIT_API_SECRET\t")
    Path(".env").write_bytes(text.encode())
    made = greenroom.credentials("demo", url="ws://127.0.0.1:1", api_key="key")
    message, signature = made.token.rsplit(".", 1)
    mac = hmac.digest(SIGNING[name].encode(), message.encode(), hashlib.sha256)
    assert base64.urlsafe_b64encode(mac).decode().rstrip("=") == signature
