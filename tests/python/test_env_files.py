"""tests/env_cases.json says what python-dotenv reads, and greenroom signs with the same."""

import base64
import hashlib
import hmac
import json
import os
import threading
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


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without env files, and an environment without credentials."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENROOM_AUDIT_LOG", str(tmp_path / "audit.jsonl"))
    for variable in ("URL", "PUBLIC_URL", "API_KEY", "API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{variable}", raising=False)


def is_signed_with(secret: str, token: str) -> bool:
    message, signature = token.rsplit(".", 1)
    mac = hmac.digest(secret.encode(), message.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=") == signature


@pytest.mark.parametrize("name", SIGNING)
def test_token_is_signed_with_the_secret_of_the_table(name: str) -> None:
    text = CASES[name]["text"].replace("S=", "LIVEKIT_API_SECRET=").replace("S ", "LIVEKIT_API_SECRET ")
    text = text.replace("'S'", "'LIVEKIT_API_SECRET'").replace("S\t", "LIVEKIT_API_SECRET\t")
    Path(".env").write_bytes(text.encode())
    made = greenroom.credentials("demo", url="ws://127.0.0.1:1", api_key="key")
    assert is_signed_with(SIGNING[name], made.token)


OURS = "LIVEKIT_URL=ws://127.0.0.1:1\nLIVEKIT_API_KEY=key\nLIVEKIT_API_SECRET=secret-canary\n"
OTHERS = [
    "AGENT_NAME=Front Desk",
    "GREETING=Don't hang up",
    "my-flag=1",
    "DEBUG",
    "KEY: v",
    "[section]",
    '"b" c',
    "UNCLOSED='",
]


@pytest.mark.parametrize("line", OTHERS)
def test_line_of_others_is_passed_over(line: str) -> None:
    for text in (f"{OURS}{line}\n", f"\ufeff{OURS}{line}"):
        Path(".env.local").write_text(text, encoding="utf-8")
        assert is_signed_with("secret-canary", greenroom.credentials("demo").token)


def test_file_is_not_needed_where_all_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env.local").mkdir()
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "from the environment")
    assert is_signed_with("from the environment", greenroom.credentials("demo").token)


def test_named_pipe_with_a_writer_is_read() -> None:
    os.mkfifo(".env.local")
    writer = threading.Thread(target=Path(".env.local").write_text, args=("LIVEKIT_API_SECRET=from-a-pipe\n",))
    writer.start()
    made = greenroom.credentials("demo", url="ws://127.0.0.1:1", api_key="key")
    writer.join(10)
    assert is_signed_with("from-a-pipe", made.token)


@pytest.mark.parametrize("kind", ["folder", "link", "utf-16"])
def test_file_that_is_none_is_named(kind: str) -> None:
    file = Path(".env.local")
    if kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to("gone")
    else:
        file.write_text(OURS, encoding="utf-16")
    with pytest.raises(greenroom.GreenroomError, match=r"\.env\.local") as refused:
        greenroom.credentials("demo", url="wss://livekit.example")
    assert "secret-canary" not in f"{refused.value} {refused.value.detail}"


def test_signing_looks_no_name_up() -> None:
    made = greenroom.credentials("demo", url="wss://no-such-project.livekit.cloud", api_key="key", api_secret="secret")
    assert made.url == "wss://no-such-project.livekit.cloud/"
    with pytest.raises(greenroom.GreenroomError, match="allow_internal_url"):
        greenroom.credentials("demo", url="ws://livekit:7880", api_key="key", api_secret="secret")
