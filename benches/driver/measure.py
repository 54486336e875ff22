"""Runs what is measured, each of a set in turn, and takes medians."""

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Longer than a usual run takes, unless it hangs.
DEADLINE_S = 300

# A program and its arguments; each becomes text.
Command = Sequence[object]


class Failed(Exception):
    """Something could not be measured; the text says why and what to do."""


@dataclass
class Sample:
    """How a command ran: its time by the clock, and its peak of resident memory."""

    wall_ms: float
    peak_mib: float


@dataclass
class Bench:
    """The programs that are measured, and how often."""

    rust: Path
    peer: Path
    greenroom: Path
    python: Path
    node: Path
    node_folder: Path
    rounds_divisor: int
    repeats: int | None
    folder: Path = Path()
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def rounds(self, usual: int) -> int:
        """How often to measure what is usually measured so often; odd, so that a median is a sample."""
        return max(3, usual // self.rounds_divisor) | 1

    def json(self, command: Command, cwd: Path | None = None, deadline: float = DEADLINE_S) -> Any:
        """Runs a command that prints JSON, for so many seconds at most."""
        return json.loads(output(command, cwd=cwd, env=self.environment, deadline=deadline))

    def in_turn(self, commands: Mapping[str, Command], rounds: int, cwd: Path | None = None) -> dict[str, list[Sample]]:
        """Runs each command so often, one after the other and again: A B A B. The first round is not counted."""
        samples: dict[str, list[Sample]] = {name: [] for name in commands}
        for round_ in range(rounds + 1):
            for name, command in commands.items():
                found = self.json([self.rust, "run", "--", *command], cwd=cwd)
                if found["status"] != 0:
                    raise Failed(f"`{' '.join(map(str, command))}` ended with exit status {found['status']}")
                if round_:
                    samples[name].append(Sample(found["wall_ms"], found["peak_kib"] / 1024))
        return samples


def output(
    command: Command, cwd: Path | None = None, env: Mapping[str, str] | None = None, deadline: float = DEADLINE_S
) -> str:
    """What a command prints."""
    words = [str(word) for word in command]
    program = Path(words[0]).name
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline
        )
    except FileNotFoundError:
        raise Failed(f"there is no {words[0]}; `make bench` builds what is measured") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{program} took longer than {deadline:g} s") from None
    if done.returncode != 0:
        raise Failed(f"{program} ended with exit status {done.returncode}: {complaint(done.stderr or done.stdout)}")
    return done.stdout


def complaint(text: str) -> str:
    """The last line that tells of an error, or that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines or ["it said nothing"])[-1]


def median_wall(samples: Sequence[Sample]) -> float:
    """Milliseconds."""
    return statistics.median(sample.wall_ms for sample in samples)


def median_peak(samples: Sequence[Sample]) -> float:
    """MiB."""
    return statistics.median(sample.peak_mib for sample in samples)


def median_of(pairs: Sequence[tuple[float, float]], compare: str) -> float:
    """The median, over pairs measured next to each other, of their `ratio` or their `difference`."""
    if compare == "ratio":
        return statistics.median(a / b for a, b in pairs)
    return statistics.median(a - b for a, b in pairs)
