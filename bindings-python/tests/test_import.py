"""What importing the package costs and offers."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import greenroom

# An environment that uv has made has no pip.
PIP = "pip install" if importlib.util.find_spec("pip") else "uv pip install"


def run(code: str, *options: str) -> str:
    return subprocess.run(
        [sys.executable, *options, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_importing_takes_no_sdk_no_asyncio_and_starts_no_thread():
    code = """
import sys, threading
import greenroom
tops = {name.partition(".")[0] for name in sys.modules}
print(sorted(tops & {"livekit", "asyncio", "google", "numpy", "dataclasses", "logging", "json"}))
print(threading.active_count(), len(__import__("os").listdir("/proc/self/task")) if sys.platform == "linux" else 1)
"""
    # Without site, whose path files may import anything.
    path = f"import sys; sys.path[:0] = {sys.path!r}\n"
    assert run(path + code, "-S").splitlines() == ["[]", "1 1"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has open")
def test_importing_opens_nothing_not_even_when_all_names_are_looked_up():
    code = """
import os
def held():
    return sorted(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
before = held()
import greenroom
print(held() == before)
for name in greenroom.__all__:
    getattr(greenroom, name)
print(held() == before)
"""
    assert run(code).splitlines() == ["True", "True"]


def test_the_package_s_own_imports_are_few():
    code = """
import sys
before = set(sys.modules)
import greenroom
print(sorted(name for name in set(sys.modules) - before if not name.startswith("greenroom")))
"""
    assert run(code) == "[]"


def test_every_public_name_is_there_and_no_other_is_hidden():
    lazy = ["errors", "types", "events", "_policy", "_session", "_start", "_gate", "_credentials", "_rooms", "_speech"]
    names = [name for module in lazy for name in importlib.import_module(f"greenroom.{module}").__all__]
    assert sorted(greenroom.__all__) == sorted([*names, "__version__", "audio", "livekit", "sync"])
    assert len(set(names)) == len(names)
    for name in greenroom.__all__:
        assert getattr(greenroom, name) is not None
    assert set(greenroom.__all__) <= set(dir(greenroom))


def test_all_can_be_imported_without_the_sdk_and_says_so_when_it_is_used(tmp_path: Path):
    (tmp_path / "greenroom").symlink_to(Path(greenroom.__file__).parent)
    code = f"""
import sys
sys.path.append({str(tmp_path)!r})
import asyncio
import greenroom
from greenroom import *
from greenroom.livekit import *
assert livekit is greenroom.livekit
transport = TcpSessionTransport("127.0.0.1", 1)
uses = [
    lambda: attach(object()),
    lambda: host(object(), object()),
    lambda: RoomSessionTransport(object()).start(),
    transport.start,
    lambda: RemoteSession(transport).start(),
    lambda: RemoteSession.from_room(object()).start(),
    lambda: SessionHost(transport).start(),
]
async def use(it):
    try:
        await it()
    except SdkMissing as error:
        return str(error).count('pip install "greenroom[livekit]"')
async def main():
    print([await use(it) for it in uses])
    try:
        gate(object())
    except SdkMissing as error:
        print(error)
asyncio.run(main())
print("google" in sys.modules)
"""
    lines = run(code, "-I", "-S").splitlines()
    assert lines == [
        "[1, 1, 1, 1, 1, 1, 1]",
        f'livekit is not installed in this Python: {PIP} "greenroom[livekit]"',
        "False",
    ]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'strat'"):
        greenroom.strat  # noqa: B018


def test_the_logger_is_silent_until_somebody_configures_it():
    code = """
import logging, greenroom
greenroom.Session
logger = logging.getLogger("greenroom")
logger.error("nobody asked")
print([type(handler).__name__ for handler in logger.handlers], logging.getLogger().handlers)
"""
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "['NullHandler'] []"
    assert result.stderr == ""


def test_a_panic_of_the_native_half_is_an_exception():
    code = """
from greenroom import _native
try:
    _native._panic("on purpose")
except BaseException as error:
    print(type(error).__name__, error)
"""
    assert run(code) == "PanicException on purpose"
