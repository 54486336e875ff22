"""What people install works where there is no ALSA library, and says what to install when only that is left."""

import json
from pathlib import Path

import pytest

from installed import bare_environment, run, succeed

pytestmark = pytest.mark.usefixtures("away")


@pytest.fixture
def without_libasound(tmp_path: Path) -> dict[str, str]:
    """An environment in which libasound cannot be loaded, and nobody answers for PulseAudio."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    # The loader takes the first of that name, and fails since it is no library.
    (libraries / "libasound.so.2").touch()
    return bare_environment(
        LD_LIBRARY_PATH=str(libraries), PULSE_SERVER=f"unix:{tmp_path}/nobody", ALSA_CONFIG_PATH=f"{tmp_path}/nothing"
    )


def test_libasound_is_hidden(without_libasound: dict[str, str]) -> None:
    done = run("python3", "-c", "import ctypes; ctypes.CDLL('libasound.so.2')", env=without_libasound)
    assert "libasound.so.2: file too short" in done.stderr


def test_wheel_is_imported_and_its_command_runs(wheel_env: Path, without_libasound: dict[str, str]) -> None:
    succeed(wheel_env / "bin" / "python", "-c", "import greenroom.sync", env=without_libasound)
    record = "import greenroom; print(greenroom.sync.capture('tone:440', clock='fast').read().samples)"
    assert succeed(wheel_env / "bin" / "python", "-c", record, env=without_libasound).strip() == "160"
    command = wheel_env / "bin" / "greenroom"
    recording = ["record", "a.wav", "--device", "tone:440", "--duration", "1s", "--fast", "--json"]
    assert json.loads(succeed(command, *recording, env=without_libasound))["seconds"] == 1
    done = run(command, "devices", "--json", env=without_libasound)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (3, "audio_unavailable")
    assert "apt install libasound2" in error["message"]


def test_addon_is_loaded_and_records(npm_project: Path, without_libasound: dict[str, str]) -> None:
    record = """
        const { capture, devices } = require('greenroom/audio');
        capture({ device: 'tone:440', clock: 'fast' }).then(async (mic) => {
            console.log((await mic.read()).samples);
            await devices().catch(({ code, message }) => console.log(code, message.includes('apt install libasound2')));
        });
    """
    printed = succeed("node", "-e", record, cwd=npm_project, env=without_libasound)
    assert printed.splitlines() == ["160", "audio_unavailable true"]
