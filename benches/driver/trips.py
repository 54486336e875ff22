"""The rows of round trips: real speech in noise to an agent, and its answer back."""

from driver import build
from driver.measure import Bench, Failed
from driver.table import Row

SCRIPT = build.ROOT / "benches" / "python" / "round_trips.py"

# In what noise sentences are said, how many words in a hundred may be misheard, where that has a target, and how often
# all of them are said, unless --repeats tells. They have 235 words. Twice, and one word is a fifth of a point; where a
# sentence is heard otherwise each time it takes more, for the difference to be none of chance.
CONDITIONS: dict[tuple[str, ...], tuple[float | None, int]] = {
    ("clean",): (3, 2),
    ("white", "20"): (None, 2),
    ("white", "10"): (6, 2),
    ("white", "5"): (None, 8),
    ("babble", "20"): (None, 2),
    ("babble", "10"): (5, 2),
    ("babble", "5"): (None, 2),
    ("impulses", "10"): (4, 2),
    ("impulses", "0"): (4, 2),
}
# How many more of a hundred words may be misheard through a session than without one.
POINTS = 1
# To start the agents; and to say all sentences once, shared out among them, and hear them again. A minute and a half of
# that is real time, and a busy machine takes several times as long.
DEADLINE_S = 300
DEADLINE_EACH_S = 300


def trips(bench: Bench) -> list[Row]:
    """Every condition."""
    if not build.SPEECH_PYTHON.exists():
        raise Failed("there is no environment for speech; run .ci/install, or leave out --no-package")
    rows: list[Row] = []
    for condition, (most, usual) in CONDITIONS.items():
        repeats = bench.repeats or max(1, usual // bench.rounds_divisor)
        deadline = DEADLINE_S + repeats * DEADLINE_EACH_S
        found = bench.json([build.SPEECH_PYTHON, SCRIPT, repeats, *condition], deadline=deadline)
        where = condition[0] if len(condition) == 1 else f"{condition[0]} {condition[1]} dB"
        without = f"{found['control']:.1%} without a session, {found['agent_direct']:.1%} from the file"
        answers = f"{found['captured_direct']:.1%} from the voice"
        rows += [
            row(f"{where}: words misheard by the agent", found["agent"], found["control"], most, without),
            Row(
                "trips",
                f"  standard error of the difference, of {found['words']} words",
                f"{found['chance'] * 100:.1f} points",
            ),
            row(f"{where}: of its answers, captured", found["captured"], found["captured_direct"], None, answers),
            Row("trips", f"{where}: of what was said, in what came back", f"{found['whole']:.1%}"),
            Row("trips", "  turns repeated, since the machine was too busy for them", str(found["again"])),
        ]
    return rows


def row(what: str, ours: float, control: float, most: float | None, peer: str) -> Row:
    """A share of words, beside that of the control."""
    points = (ours - control) * 100
    target = f"<= +{POINTS} point" if most is None else f"<= {most:g}%, +{POINTS} point"
    # Exactly one point is no more than one, whatever the fractions round to.
    met = points <= POINTS + 1e-9 and (most is None or ours * 100 <= most)
    return Row("trips", what, f"{ours:.1%}", peer, f"{points:+.1f} points", target, met)
