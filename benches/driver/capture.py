"""The rows of real streams: PulseAudio and a card that is a pipe, both begun and ended here."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from driver import build
from driver.measure import Bench
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


def capture(bench: Bench) -> list[Row]:
    """All of them."""
    subprocess.run([build.ROOT / ".ci" / "audio"], check=True)
    folder = bench.folder / "sound"
    folder.mkdir()
    (folder / "asound.conf").write_text(CARD.format(folder=folder))
    os.mkfifo(folder / "mic")
    bench.environment |= {"PULSE_SERVER": f"unix:{folder}/pulse", "ALSA_CONFIG_PATH": f"{folder}/asound.conf"}
    pipe = bench.json([bench.rust, "capture-pipe", folder / "mic", 10])
    many = bench.json([bench.rust, "capture-virtual", 5])
    with pulse(folder, bench.environment):
        took = bench.json([bench.rust, "capture-pulse", 10])

    def row(what: str, key: str, most: float | None, beside: str = "") -> Row:
        target = f"<= {most:g} ms" if most else ""
        return Row("capture", what, f"{took[key]:.1f} ms", beside, "", target, took[key] <= most if most else None)

    control = f"{took['late_sleep_p99_ms']:.1f} ms: how late a sleep of 10 ms ends"
    lost = pipe["lost"]
    share = many["core_percent"]
    streams = f"{many['streams']} virtual streams in real time"
    return [
        row("open to the first frame of 10 ms", "start_ms", 50),
        row("stop", "stop_ms", 20),
        row("age of a frame's end at its reader, p99", "age_p99_ms", 20, control),
        row("write to read over a loudspeaker's monitor", "round_ms", 60, "210 ms livekit's MediaDevices, reference"),
        row("  with latency low", "round_low_ms", 11),
        row("device back to stream reopened", "recovery_ms", 2000),
        Row("capture", f"lost of {pipe['read']} samples, processors busy", str(lost), "", "", "0", lost == 0),
        Row("capture", streams, f"{share:.0f}%", "", "", "<= 100% core", share <= 100),
        Row("capture", "  lost of them", str(many["lost"]), "", "", "0", many["lost"] == 0),
    ]


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
        while not (folder / "pulse").exists():
            time.sleep(0.05)
        # Without a reader in a hurry it works in blocks of two seconds, and for one more of them after that.
        start(["parec", "--latency-msec=10", "-d", "speaker.monitor"])
        time.sleep(2.5)
        yield
