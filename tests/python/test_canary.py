"""Secrets are shown nowhere: not in errors, their tracebacks and causes, warnings, logs, `repr` or the files we write.

tests/canary.json has the inputs; the command's suite and Node's plant the same.
"""

import asyncio
import base64
import json
import logging
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import greenroom
import greenroom.sync

CANARY = "C4n4ryThatN0bodyMaySee0123456789abcdef"
_TEXT = (Path(__file__).parents[1] / "canary.json").read_text(encoding="utf-8")
INPUTS = json.loads(_TEXT.replace("CANARY", CANARY))
URL = "ws://127.0.0.1:1"
SECRET = "a secret of at least thirty-two letters"


def _seen(text: str) -> bool:
    shifted = (base64.b64encode(("x" * shift + CANARY).encode()).decode()[4:-4] for shift in range(3))
    listed = ", ".join(str(byte) for byte in CANARY.encode())
    return any(form in text for form in (CANARY, listed, *shifted)) or CANARY.lower() in text.lower()


class Watch:
    """All that the package shows while it is used."""

    def __init__(self, folder: Path, log: pytest.LogCaptureFixture) -> None:
        self.refused = 0
        self.done = 0
        self._folder = folder
        self._log = log

    def __call__(self, what: str, use: Callable[[], Any]) -> None:
        """Uses the package, and fails if it shows the canary."""
        shown = []
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                shown.append(repr(use()))
                self.done += 1
            except Exception as error:
                self.refused += 1
                shown += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error)), repr(error.args)]
        shown += [str(warning.message) for warning in warned]
        shown += [record.getMessage() for record in self._log.records]
        shown += [file.read_text(errors="replace") for file in self._folder.rglob("*") if file.is_file()]
        for text in shown:
            assert not _seen(text), f"{what}: {text}"


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watch:
    """A watch over a state folder of the test's own, in an environment without credentials."""
    caplog.set_level(logging.DEBUG)
    for name in ("URL", "PUBLIC_URL", "TOKEN", "API_KEY", "API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("GREENROOM_HOME", str(state / "home"))
    monkeypatch.setenv("GREENROOM_AUDIT_LOG", str(state / "audit.jsonl"))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return Watch(state, caplog)


def _credentials(**given: Any) -> Callable[[], Any]:
    keys = {"url": URL, "api_key": "k", "api_secret": SECRET}
    return lambda: greenroom.credentials("demo", **{**keys, **given})


def _start(**given: Any) -> Callable[[], Any]:
    return lambda: greenroom.sync.start("agent.py", **given)


def _join(url: str = URL, token: str = "t", **reach: Any) -> Callable[[], Any]:
    return lambda: greenroom.sync.join(url, token, timeout=2.0, **reach)


def _connect(url: str = URL, token: str = "t", **reach: Any) -> Callable[[], Any]:
    async def connect() -> Any:
        return await greenroom.Room.connect(url, token, timeout=2.0, **reach)

    return lambda: asyncio.run(connect())


def test_canary_that_is_shown_is_found(watch: Watch, tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError(CANARY)

    def warn() -> None:
        warnings.warn(CANARY, stacklevel=1)

    def write() -> None:
        (tmp_path / "state" / "audit.jsonl").write_text(CANARY)

    for use in (fail, warn, lambda: CANARY, lambda: base64.b64encode(f"key:{CANARY}!".encode()), write):
        with pytest.raises(AssertionError, match="shown"):
            watch("shown", use)
    (tmp_path / "state" / "audit.jsonl").unlink()
    watch("nothing", lambda: None)
    logging.getLogger("greenroom").debug("a token: %s", CANARY)
    with pytest.raises(AssertionError, match="shown"):
        watch("shown", lambda: None)


def test_env_files_with_secrets_are_shown_nowhere(watch: Watch) -> None:
    for name in (".env.local", ".env"):
        for what, text in INPUTS["env_files"].items():
            Path(name).write_bytes(text.encode("latin-1"))
            watch(f"{name}: {what}", lambda: greenroom.credentials("demo"))
            watch(f"{name}: {what}", lambda: greenroom.credentials("demo", can_manage_agent_session=True, url=URL))
        Path(name).unlink()
    assert watch.done, "no file was read to its end"
    assert watch.refused, "no file was refused"


def test_secrets_in_the_environment_are_shown_nowhere(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for names, values in (
        (("LIVEKIT_URL", "LIVEKIT_PUBLIC_URL"), INPUTS["urls"]),
        (("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"), INPUTS["secrets"]),
    ):
        for name in names:
            for value in values:
                with monkeypatch.context() as environment:
                    environment.setenv("LIVEKIT_URL", URL)
                    environment.setenv("LIVEKIT_API_KEY", "key")
                    environment.setenv("LIVEKIT_API_SECRET", SECRET)
                    environment.setenv(name, value)
                    watch(f"{name}={value!r}", lambda: greenroom.credentials("demo"))
    for value in INPUTS["proxies"]:
        if value == CANARY:
            # Here it is the name of a host, which is told.
            continue
        with monkeypatch.context() as environment:
            environment.setenv("HTTP_PROXY", value)
            watch(f"HTTP_PROXY={value!r}", _join("ws://livekit.test"))
            watch(f"HTTP_PROXY={value!r}", _connect("ws://livekit.test"))


def test_secrets_in_arguments_are_shown_nowhere(watch: Watch) -> None:
    for value in INPUTS["urls"]:
        watch(f"url={value!r}", _credentials(url=value))
        watch(f"url={value!r}", _join(value))
        watch(f"url={value!r}", _connect(value))
    for value in INPUTS["secrets"]:
        for name in ("api_key", "api_secret"):
            watch(f"{name}={value!r}", _credentials(**{name: value}))
    for value in INPUTS["tokens"]:
        watch(f"token={value!r}", _join(token=value))
        watch(f"token={value!r}", _connect(token=value))
    for value in INPUTS["proxies"]:
        watch(f"proxy={value!r}", _join(proxy=value))
        watch(f"proxy={value!r}", _connect(proxy=value))
    for value in INPUTS["authorities"]:
        watch(f"ca={value!r}", _join("wss://127.0.0.1:1", ca=value))
        watch(f"ca={value!r}", _connect("wss://127.0.0.1:1", ca=value.encode()))


def test_stand_ins_with_secrets_are_shown_nowhere(watch: Watch) -> None:
    # There is no agent: what is right is read, and fails at its file.
    for argument, values in INPUTS["stand_ins"].items():
        for value in values:
            watch(f"{argument}={value!r}", _start(**{argument: value}))
    watch("number", _start(participant={"metadata": CANARY.encode()}))
    assert not watch.done
    with pytest.raises(greenroom.GreenroomError) as refused:
        greenroom.sync.start("agent.py", participant={"metadata": 48151623421337})
    assert "48151623421337" not in str(refused.value)


def test_secrets_of_a_wrong_type_are_shown_nowhere(watch: Watch) -> None:
    for value in (CANARY.encode(), [CANARY], {CANARY: CANARY}, (CANARY,), {CANARY}):
        for name in ("url", "api_key", "api_secret"):
            watch(f"{name}: {type(value)}", _credentials(**{name: value}))
        wrong: Any = value
        watch(f"token: {type(value)}", _join(token=wrong))
        watch(f"token: {type(value)}", _connect(token=wrong))
        watch(f"proxy: {type(value)}", _join(proxy=wrong))
        watch(f"env: {type(value)}", _start(env={"OPENAI_API_KEY": wrong}))
    assert not watch.done
    with pytest.raises(greenroom.GreenroomError) as refused:
        greenroom.credentials("demo", url=URL, api_key="k", api_secret=48151623421337)  # type: ignore[arg-type]
    assert "48151623421337" not in str(refused.value)
