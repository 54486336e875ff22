"""A LiveKit server of the tests' own, on loopback. tests/node/support/livekit-server.mjs is its twin."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[4]
RUN = ROOT / "tests" / "livekit-server" / "run"
# What config.yaml beside it says.
KEY = "devkey"
SECRET = "a-secret-that-protects-nothing-but-tests"
# How long a server may take until it answers, in seconds: far above what it takes.
START_DEADLINE_S = 60.0


class Server:
    """A running server; `stop` ends it surely. It also ends when this process does, however that happens."""

    def __init__(self, folder: Path) -> None:
        """Starts it on free ports, with its log in the folder; back when it answers."""
        self.log = folder / "livekit-server.log"
        # Somebody else may take a port between our look and the server's.
        for attempts_left in (2, 1, 0):
            self._port, self._udp_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
            try:
                self.start()
            except ServerDied:
                if not attempts_left:
                    raise
            else:
                return

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self._port}"

    @property
    def api_url(self) -> str:
        """Where the server's API is called."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process, which leads a group of its own."""
        return self._process.pid

    def start(self) -> None:
        """Starts it again after `stop`, on the same ports; its rooms are gone. Back when it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(RUN), str(program()), str(self._port), str(self._udp_port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kills it at once, as a crash would; nobody is told. Does nothing if it is stopped."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            if self._process.poll() is not None:
                raise ServerDied(f"livekit-server ended with {self._process.returncode}:\n{self._last_words()}")
            with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(self.api_url, timeout=5):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer from livekit-server in {START_DEADLINE_S} s:\n{self._last_words()}")
            time.sleep(0.02)

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


class ServerDied(Exception):
    """The server ended by itself."""


def program() -> Path:
    """The server's program, which `.ci/livekit-server` gets."""
    default = ROOT / ".cache" / "livekit-server" / "livekit-server"
    path = Path(os.environ.get("GREENROOM_TEST_LIVEKIT_SERVER", default))
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: run .ci/livekit-server")
    return path


def free_port(kind: socket.SocketKind) -> int:
    """A port on loopback that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
