"""A private PulseAudio, with a loudspeaker and a microphone that are not there.

As core/capture/tests/real/support/pulse.rs: what is played to `mic_feed` is heard in the microphone `mic`.
"""

import subprocess
import time
from pathlib import Path

SETUP = """\
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/pulse
load-module module-null-sink sink_name=speaker rate=48000 channels=2 format=s16le
load-module module-null-sink sink_name=mic_feed rate=48000 channels=1 format=s16le
load-module module-remap-source source_name=mic master=mic_feed.monitor source_properties=device.description=Microphone
set-default-sink speaker
set-default-source mic
"""


class Pulse:
    """The daemon; `environment` leads to it and to no other sound."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder}/pulse",
            "ALSA_CONFIG_PATH": f"{folder}/nothing",
        }
        setup = folder / "setup.pa"
        setup.write_text(SETUP.format(folder=folder))
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
        options += ["--realtime=no", "--high-priority=no", "-F", str(setup), f"--log-target=newfile:{folder}/log"]
        self.daemon = self._start("pulseaudio", *options)
        self.keeper: subprocess.Popen[bytes] | None = None
        try:
            self._until_it_answers()
            # Without a reader in a hurry, a microphone that is not there works in blocks of two seconds.
            self.keeper = self._start("parec", "--latency-msec=10", "-d", "mic")
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End it at once."""
        for process in (self.keeper, self.daemon):
            if process is not None:
                process.kill()
                process.wait()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **self.environment}
        return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment)

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + 20
        while self._start("pactl", "info").wait() != 0:
            assert time.monotonic() < deadline, "PulseAudio does not answer; .ci/audio installs it"
            time.sleep(0.02)
