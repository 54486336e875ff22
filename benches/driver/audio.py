"""The rows of audio: resamplers and echo control beside their peers, levels, what frames cost, and speech in noise."""

from typing import Any

from driver import build
from driver.measure import Bench
from driver.table import Row

SCRIPT = build.ROOT / "benches" / "python" / "audio.py"
ECHO = build.ROOT / "benches" / "python" / "echo.py"
PEERS = ("livekit", "soxr", "speexdsp")


def audio(bench: Bench) -> list[Row]:
    """All of them."""
    python = build.audio_python()
    judged = bench.json([python, SCRIPT, "resamplers", bench.rust])
    cost = bench.json([bench.rust, "audio-cost", "--for-ms", "300"])
    rows: list[Row] = []
    for taken in cost["resamplers"]:
        engines = judged[f"{taken['from']}-{taken['to']}"]
        for name in ("greenroom", "speexdsp"):
            # 10 ms of audio in so many nanoseconds.
            engines[name]["speed"] = 1e7 / taken[name]
        rows += resampler(f"{taken['from'] / 1000:g} to {taken['to'] / 1000:g} kHz", engines)
    rows += levels(cost["level"]) + costs(cost)
    folder = bench.folder / "voice"
    folder.mkdir()
    utterances = bench.json([python, SCRIPT, "voice", folder])["files"]
    rows += echoes(bench.json([python, ECHO, bench.rust]))
    return rows + speech(bench.json([bench.rust, "audio-speech", *utterances]))


def resampler(what: str, engines: dict[str, Any]) -> list[Row]:
    """One conversion: ours, and each peer in the column of peers."""
    ours = engines["greenroom"]

    def row(name: str, key: str, form: str, target: str, met: bool) -> Row:
        def shown(judged: dict[str, Any]) -> str:
            value = judged[key]
            return form.format(value) if not isinstance(value, bool) else "yes" if value else "no"

        peers = ", ".join(f"{shown(engines[peer])} {peer}" for peer in PEERS)
        return Row("audio", f"{what}: {name}", shown(ours), peers, "", target, met)

    rows = [
        row("latency", "latency_ms", "{:.1f} ms", "<= 6 ms", ours["latency_ms"] <= 6),
        row("SINAD, worst up to 0.85", "sinad_db", "{:.1f} dB", ">= 130 dB", ours["sinad_db"] >= 130),
        row("flat within 0.1 dB, of Nyquist", "edge", "{:.2f}", ">= 0.85", ours["edge"] >= 0.85),
        row("times real time", "speed", "{:.0f}x", ">= 1000x", ours["speed"] >= 1000),
        row("the same in any chunks", "same_in_any_chunks", "", "yes", ours["same_in_any_chunks"]),
        row("exactly as long", "exact_length", "", "yes", ours["exact_length"]),
    ]
    if ours["alias_db"] is not None:
        met = ours["alias_db"] <= -120
        rows.insert(2, row("above the output's Nyquist", "alias_db", "{:.1f} dBFS", "<= -120", met))
    return rows


def levels(level: dict[str, float]) -> list[Row]:
    """What the meter reads of a sine of 1 kHz with a peak of -6.02 dBFS."""
    peak, rms, rate = level["peak"], level["rms"], level["per_second"]
    met = abs(peak + 6.02) <= 0.01
    return [
        Row("audio", "meter: peak of that sine", f"{peak:.3f} dBFS", "", "", "-6.02 +-0.01", met),
        Row("audio", "meter: RMS of that sine", f"{rms:.3f} dBFS", "", "", "-9.03 +-0.01", abs(rms + 9.03) <= 0.01),
        Row("audio", "meter: readings a second of samples", f"{rate:g}", "", "", "30", rate == 30),
    ]


def costs(cost: dict[str, Any]) -> list[Row]:
    """Shares of one processor."""
    rows = []
    for key, rate in (("frame_16k", "16 kHz"), ("frame_48k", "48 kHz")):
        share = cost[key] / 1e7
        rows.append(
            Row("audio", f"cutting, level and speech at {rate}", f"{share:.3%}", "", "", "<= 0.5% core", share <= 0.005)
        )
    share = cost["streams_10ms"] / 1e7
    what = f"{cost['streams']} virtual streams, 48 to 16 kHz, level, speech"
    return [*rows, Row("audio", what, f"{share:.0%}", "", "", "<= 100% core", share <= 1)]


def echoes(found: dict[str, Any]) -> list[Row]:
    """How much of an echo each takes out, while it learns and after, and what that costs."""
    rows = []
    for rate, judged in found.items():
        what, ours, peer = f"echo at {int(rate) // 1000} kHz", judged["greenroom"], judged["livekit"]
        for name, key, form in (
            ("taken out, 1 to 4 s", "early", "{:.1f} dB"),
            ("taken out from 6 s on", "late", "{:.1f} dB"),
            ("who speaks beside it", "near", "{:+.1f} dB"),
        ):
            more = ours[key] - peer[key]
            shown = form.format(ours[key]), form.format(peer[key]) + " livekit"
            rows.append(Row("audio", f"{what}: {name}", *shown, f"{more:+.1f} dB", ">= -1 dB", more >= -1))
        spent = f"{ours['frame_us']:.0f} us", f"{peer['frame_us']:.0f} us livekit"
        rows.append(Row("audio", f"{what}: time for 10 ms", *spent, f"{ours['frame_us'] / peer['frame_us']:.2f}x"))
    return rows


def speech(found: dict[str, Any]) -> list[Row]:
    """Every condition; those with a target are clean, white noise down to 5 dB and impulses at 10 dB."""
    rows = []
    for heard in found["conditions"]:
        kind, snr = heard["kind"], heard["snr"]
        where = kind if kind == "clean" else f"{kind} {snr:.0f} dB"
        shown = (
            f"{heard['onset_ms']:.0f} ms, {heard['missed']} missed, {heard['false_starts']} false, "
            f"{heard['once']} of {found['utterances']} once"
        )
        judged = kind == "clean" or (kind == "white" and snr >= 5) or (kind == "impulses" and snr >= 10)
        met = heard["onset_ms"] <= 80 and heard["missed"] == 0 and heard["false_starts"] <= 1
        target = "80 ms, 0, 1"
        if kind == "clean":
            met &= heard["once"] == found["utterances"]
            target += ", all once"
        rows.append(Row("audio", f"speech: {where}", shown, "", "", target if judged else "", met if judged else None))
    return rows
