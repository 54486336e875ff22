"""The rows of round trips: real speech in noise to an agent, and its answer back."""

from driver import build
from driver.measure import Bench, Failed
from driver.table import Row

SCRIPT = build.ROOT / "benches" / "python" / "round_trips.py"

# In what noise sentences are said, and how many words in a hundred may be misheard, where that has a target.
CONDITIONS: dict[tuple[str, ...], float | None] = {
    ("clean",): 3,
    ("white", "20"): None,
    ("white", "10"): 6,
    ("white", "5"): None,
    ("babble", "20"): None,
    ("babble", "10"): 5,
    ("babble", "5"): None,
    ("impulses", "10"): 4,
    ("impulses", "0"): 4,
}
# How many more of a hundred words may be misheard through a session than directly.
POINTS = 1
# One condition is 30 turns in real time with four agents, and 90 recordings to be heard.
DEADLINE_S = 900


def trips(bench: Bench) -> list[Row]:
    """Every condition."""
    if not build.SPEECH_PYTHON.exists():
        raise Failed("there is no environment for speech; run .ci/install, or leave out --no-package")
    rows: list[Row] = []
    for condition, most in CONDITIONS.items():
        found = bench.json([build.SPEECH_PYTHON, SCRIPT, *condition], deadline=DEADLINE_S)
        where = condition[0] if len(condition) == 1 else f"{condition[0]} {condition[1]} dB"
        rows += [
            row(f"{where}: words misheard by the agent", found["agent"], found["agent_direct"], most),
            row(f"{where}: of its answers, captured", found["captured"], found["captured_direct"], None),
            Row("trips", f"{where}: of what was said, in what came back", f"{found['whole']:.1%}"),
            Row("trips", "  turns repeated, since the machine was too busy for them", str(found["again"])),
        ]
    return rows


def row(what: str, ours: float, directly: float, most: float | None) -> Row:
    """A share of words, beside that without a session between voice and ear."""
    points = (ours - directly) * 100
    target = f"<= +{POINTS} point" if most is None else f"<= {most:g}%, +{POINTS} point"
    # Exactly one point is no more than one, whatever the fractions round to.
    met = points <= POINTS + 1e-9 and (most is None or ours * 100 <= most)
    return Row("trips", what, f"{ours:.1%}", f"{directly:.1%} directly", f"{points:+.1f} points", target, met)
