"""The rows of real streams: PulseAudio and a card that is a pipe, both begun and ended here."""

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from driver import build
from driver.measure import Bench, Failed
from driver.table import Row

SETUP = """\
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/pulse
load-module module-null-sink sink_name=speaker rate=48000 channels=2 format=s16le
set-default-sink speaker
set-default-source speaker.monitor
"""

CARD = """\
pcm.pipe {{ type file slave.pcm {{ type null }} file "/dev/null" infile "{folder}/mic" format "raw" }}
pcm.mic {{ type plug slave {{ pcm "pipe" format S16_LE rate 48000 channels 1 }} hint {{ show on description "Pipe" }} }}
"""

# ALSA as PortAudio sees it, which livekit's MediaDevices stand on.
PORTAUDIO = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def capture(bench: Bench) -> list[Row]:
    """All of them."""
    build.run("PulseAudio and ALSA's library", [".ci/audio"])
    folder = bench.folder / "sound"
    folder.mkdir()
    (folder / "asound.conf").write_text(CARD.format(folder=folder))
    os.mkfifo(folder / "mic")
    sound = {"PULSE_SERVER": f"unix:{folder}/pulse", "ALSA_CONFIG_PATH": f"{folder}/asound.conf"}
    bench = replace(bench, environment=bench.environment | sound)
    pipe = bench.json([bench.rust, "capture-pipe", folder / "mic", 10])
    many = bench.json([bench.rust, "capture-virtual", 5])
    with pulse(folder, bench.environment):
        took = bench.json([bench.rust, "capture-pulse", 10])
        source = ["pulseaudio:speaker.monitor", 10]
        python = bench.json([bench.python, build.ROOT / "benches" / "python" / "capture.py", *source])
        node = bench.json([bench.node, build.ROOT / "benches" / "node" / "capture.mjs", *source], bench.node_folder)
        beside = media_devices(bench)

    def row(what: str, key: str, most: float | None, beside: str = "") -> Row:
        target = f"<= {most:g} ms" if most else ""
        return Row("capture", what, f"{took[key]:.1f} ms", beside, "", target, took[key] <= most if most else None)

    def age(where: str, p99: float, late: float, most: float) -> Row:
        control = f"{late:.1f} ms: how late a sleep of 10 ms ends"
        target = f"<= {most:g} ms"
        return Row(
            "capture", f"age of a frame's end in {where}, p99", f"{p99:.1f} ms", control, "", target, p99 <= most
        )

    lost = pipe["lost"]
    share = many["core_percent"]
    streams = f"{many['streams']} virtual streams in real time"
    return [
        row("open to the first frame of 10 ms", "start_ms", 50),
        row("stop", "stop_ms", 20),
        age("Rust", took["age_p99_ms"], took["late_sleep_p99_ms"], 20),
        age("Python", p99(python["ages_ms"]), p99(python["late_sleeps_ms"]), 30),
        age("Node", p99(node["ages_ms"]), p99(node["late_sleeps_ms"]), 30),
        row("write to read over a loudspeaker's monitor", "round_ms", 60, beside),
        row("  with latency low", "round_low_ms", 11),
        row("device back to stream reopened", "recovery_ms", 2000),
        Row("capture", f"lost of {pipe['read']} samples, processors busy", str(lost), "", "", "0", lost == 0),
        Row("capture", streams, f"{share:.0f}%", "", "", "<= 100% core", share <= 100),
        Row("capture", "  lost of them", str(many["lost"]), "", "", "0", many["lost"] == 0),
    ]


def media_devices(bench: Bench) -> str:
    """What livekit's MediaDevices take on this loudspeaker; where they do not run, what was measured elsewhere."""
    setup = bench.folder / "sound" / "portaudio.conf"
    setup.write_text(PORTAUDIO)
    bench = replace(bench, environment=bench.environment | {"ALSA_CONFIG_PATH": str(setup)})
    script = build.ROOT / "benches" / "python" / "media_devices.py"
    try:
        taken = bench.json([build.audio_python(), script, bench.rounds(10)])
    except Failed as error:
        taken = {"why": str(error)}
    if "why" in taken:
        return f"210 ms between callbacks of livekit's MediaDevices, reference; not measured here: {taken['why']}"
    whole, between = (statistics.median(taken[key]) for key in ("whole_ms", "between_ms"))
    return f"{whole:.0f} ms livekit's MediaDevices, {between:.0f} ms of it between its callbacks"


def p99(numbers: list[float]) -> float:
    """Of a hundred the second largest."""
    return statistics.quantiles(numbers, n=100)[-1]


@contextlib.contextmanager
def pulse(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A PulseAudio of one's own, whose loudspeaker works in small blocks."""
    setup = folder / "setup.pa"
    setup.write_text(SETUP.format(folder=folder))
    own = environment | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder)}
    quiet = {"env": own, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemon = ["pulseaudio", "-n", "-F", setup, "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
    daemon += ["--disable-shm=yes", "--realtime=no", "--high-priority=no"]
    with contextlib.ExitStack() as processes:

        def start(command: list[str | Path]) -> None:
            process = subprocess.Popen([str(word) for word in command], **quiet)  # type: ignore[call-overload]
            processes.callback(process.wait)
            processes.callback(process.kill)

        start(daemon)
        deadline = time.monotonic() + 20
        while not (folder / "pulse").exists():
            if time.monotonic() > deadline:
                raise Failed("PulseAudio does not start")
            time.sleep(0.05)
        # Without a reader in a hurry it works in blocks of two seconds, and for one more of them after that.
        start(["parec", "--latency-msec=10", "-d", "speaker.monitor"])
        time.sleep(2.5)
        yield
