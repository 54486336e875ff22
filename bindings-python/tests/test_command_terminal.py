"""The installed command in a terminal: what is drawn, and how it ends."""

import codecs
import os
import re
import select
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="only Unix has pseudo-terminals")
termios = pytest.importorskip("termios", reason="only Unix has pseudo-terminals")

LFLAG = 3  # of what tcgetattr gives
COMMAND = Path(sysconfig.get_path("scripts")) / "greenroom"
SOON = 20.0


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self.master, side = pty.openpty()
        # At Ctrl-C a terminal shows ^C, and drops what it has not shown yet: both may be within a character.
        modes = termios.tcgetattr(side)
        modes[LFLAG] = modes[LFLAG] & ~termios.ECHO | termios.NOFLSH
        termios.tcsetattr(side, termios.TCSANOW, modes)
        # Ctrl-C is for who has this terminal, so it must be the command's.
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEAD, str(COMMAND), *arguments],
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(side)
        self.shown = ""
        # What is read may end within a character.
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until the pattern has been shown."""
        deadline = time.monotonic() + SOON
        while (found := re.search(pattern, self.shown)) is None:
            assert self.read(deadline), f"{pattern!r} was not shown: {self.shown!r}"
        return found

    def read(self, deadline: float) -> bool:
        """Read more, if there is more in time."""
        ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            more = os.read(self.master, 65536) if ready else b""
        except OSError:  # Linux says so when nobody has the other side any more
            more = b""
        self.shown += self.decoder.decode(more)
        return bool(more)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Wait for its end; give how it ended."""
        deadline = time.monotonic() + SOON
        while self.read(deadline):
            pass
        return self.process.wait(timeout=SOON)


LEAD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def terminal() -> Iterator[type[Terminal]]:
    opened = []

    class Opened(Terminal):
        def __init__(self, *arguments: str) -> None:
            super().__init__(*arguments)
            opened.append(self)

    yield Opened
    for one in opened:
        one.process.kill()
        one.process.wait()
        os.close(one.master)


def test_the_meter_draws_one_bar_over_the_other_until_ctrl_c(terminal):
    meter = terminal("meter", "--device", "tone:1000:-6.02")
    # RMS and held peak of the tone, 30 times a second, each over the last one.
    meter.until(r"(\r[^\r\n]*█[^\r\n]*-9\.0[^\r\n]*peak +-6\.0[^\r\n]*){5}")
    assert "\x1b[" in meter.shown, "coloured"
    meter.type("\x03")
    assert meter.end() in (0, 130)
    bars = [line for line in meter.shown.split("\r") if "█" in line]
    assert {len(re.findall("[█|·]", bar)) for bar in bars[:-1]} == {40}, "each covers the one before it"
    assert meter.shown.endswith("\n"), "the prompt has a line of its own"


def test_a_meter_that_goes_elsewhere_draws_no_bar(tmp_path):
    run = subprocess.run(
        [COMMAND, "meter", "--device", "tone:1000:-6.02", "--fast", "--duration", "2s"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SOON,
    )
    assert run.returncode == 0, run.stderr
    assert "\r" not in run.stdout
    assert "\x1b" not in run.stdout
    assert len(run.stdout.splitlines()) == 2
