"""A voice for agents that needs no key and no network: text as a melody, and back.

Every byte of the text is two tones of 12 ms, each of which differs from the one before it; two
tones of their own frame the whole, and a checksum detects errors. Recognized text was therefore in
the sound: there is no other path from the voice to the recognizer.

It is no speech and does not want to be: it stands in for a TTS, an STT and a VAD where a test or an
example needs an agent that hears and talks. `melody.mjs` speaks the same language.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, stt, tts, utils, vad
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

Samples = np.ndarray[Any, np.dtype[np.int16]]

RATE = 24_000

_TONE_SECONDS = 0.012
_FRAME_SECONDS = 0.024
"""How long the tones at both ends are."""
_TAIL_SECONDS = 0.08
"""Silence after the melody: the SDKs' resamplers keep the last 40 ms to themselves."""
_LOWEST = 600.0
_STEP = 250.0
_DATA = 17
"""Tones of the text: one more than the values of half a byte, so that no tone follows itself."""
_START, _END = _DATA, _DATA + 1
_TONES = [_LOWEST + _STEP * tone for tone in range(_DATA + 2)]
_LOUDNESS = 0.4
_AUDIBLE = 0.005
"""What is quieter than this, of full scale, is silence."""
_LONGEST_PAUSE = 0.15
"""A silence of this length ends an incomplete melody."""


def sing(text: str, rate: int = 48_000) -> Samples:
    """The melody of a text: signed 16 bits, mono, at 48 kHz unless `rate` says otherwise."""
    data = text.encode()
    tones = [(_START, _FRAME_SECONDS)]
    last = _DATA - 1
    for byte in [*data, _checksum(data)]:
        for half in (byte >> 4, byte & 15):
            last = (last + 1 + half) % _DATA
            tones.append((last, _TONE_SECONDS))
    tones.append((_END, _FRAME_SECONDS))
    frequencies = np.concatenate([np.full(round(seconds * rate), _TONES[tone]) for tone, seconds in tones])
    # One wave whose frequency changes, so that nothing clicks.
    wave = _LOUDNESS * np.sin(2 * np.pi * np.cumsum(frequencies) / rate)
    tail = np.zeros(round(_TAIL_SECONDS * rate))
    samples: Samples = (np.concatenate([wave, tail]) * 32767).round().astype(np.int16)
    return samples


def listen(samples: Samples, rate: int = 48_000) -> list[str]:
    """The texts in a recording, one for each melody; one that was not understood ends in `…`."""
    ear = Ear(rate)
    silence = np.zeros(rate, np.int16)
    return [heard.text for heard in ear.hear(np.concatenate([samples, silence])) if heard.kind == "all"]


def _checksum(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


@dataclass
class Heard:
    """Result of the recognizer: a start, a partial or the final text."""

    kind: Literal["begin", "part", "all"]
    text: str = ""


class Ear:
    """Finds melodies in a stream of samples, in chunks of any size."""

    def __init__(self, rate: int) -> None:
        self._hop = round(0.002 * rate)
        self._window = round(0.006 * rate)
        at = np.arange(self._window) / rate
        self._waves = np.exp(-2j * np.pi * np.outer(at, _TONES))
        self._waiting = np.zeros(0)
        self._longest_pause = round(_LONGEST_PAUSE * rate / self._hop)
        self._candidate: int | None = None
        self._sure: int | None = None
        self._pause = 0
        self._halves: list[int] | None = None
        self._last = _DATA - 1

    def hear(self, samples: Samples) -> Iterator[Heard]:
        """What these samples add to what was heard."""
        self._waiting = np.concatenate([self._waiting, samples / 32768])
        while len(self._waiting) >= self._window:
            count = min((len(self._waiting) - self._window) // self._hop + 1, 256)
            windows = np.lib.stride_tricks.sliding_window_view(self._waiting, self._window)[:: self._hop][:count]
            power = np.abs(windows @ self._waves) ** 2 * 2 / self._window**2
            loudness = np.mean(windows**2, axis=1)
            best = power.argmax(axis=1)
            # A tone is clear if it has half of what is heard.
            clear = (loudness > _AUDIBLE**2) & (power[np.arange(count), best] > loudness / 2)
            self._waiting = self._waiting[count * self._hop :]
            for tone, is_clear in zip(best, clear, strict=True):
                yield from self._note(int(tone) if is_clear else None)

    def _note(self, tone: int | None) -> Iterator[Heard]:
        """Takes the tone of one window; twice the same is sure."""
        if tone is None:
            self._candidate = None
            self._pause += 1
            if self._pause > self._longest_pause:
                self._sure = None
                if self._halves is not None:
                    yield Heard("all", f"{self._text()}…")
                    self._halves = None
            return
        self._pause = 0
        if tone != self._candidate or tone == self._sure:
            self._candidate = tone
            return
        self._sure = tone
        if tone == _START:
            self._halves, self._last = [], _DATA - 1
            yield Heard("begin")
        elif self._halves is None:
            return
        elif tone == _END:
            yield Heard("all", self._whole())
            self._halves = None
        else:
            self._halves.append((tone - self._last - 1) % _DATA)
            self._last = tone
            if len(self._halves) % 20 == 0:
                yield Heard("part", self._text())

    def _bytes(self) -> bytes:
        halves = self._halves or []
        pairs = zip(halves[::2], halves[1::2], strict=False)
        return bytes((high << 4 | low) & 0xFF for high, low in pairs)

    def _text(self) -> str:
        return self._bytes().decode(errors="replace")

    def _whole(self) -> str:
        data = self._bytes()
        if not data or _checksum(data[:-1]) != data[-1] or len(self._halves or []) % 2:
            return f"{self._text()}…"
        return data[:-1].decode(errors="replace")


def _samples(frame: rtc.AudioFrame) -> Samples:
    return np.frombuffer(frame.data, np.int16)[:: frame.num_channels]


class MelodyTTS(tts.TTS[None]):
    """Sings what an agent says."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Singing(tts=self, input_text=text, conn_options=conn_options)


class _Singing(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id=utils.shortuuid(), sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(sing(self.input_text, RATE).tobytes())
        output_emitter.flush()


class MelodySTT(stt.STT[None]):
    """Understands what is sung to an agent."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        return _event(stt.SpeechEventType.FINAL_TRANSCRIPT, " ".join(listen(_samples(frame), frame.sample_rate)))

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _Listening(stt=self, conn_options=conn_options, sample_rate=RATE)


class _Listening(stt.RecognizeStream):
    async def _run(self) -> None:
        ear = Ear(RATE)
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            for heard in ear.hear(_samples(frame)):
                for event in _events(heard):
                    self._event_ch.send_nowait(event)


def _events(heard: Heard) -> Iterator[stt.SpeechEvent]:
    match heard.kind:
        case "begin":
            yield stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH)
        case "part":
            yield _event(stt.SpeechEventType.INTERIM_TRANSCRIPT, heard.text)
        case "all":
            yield _event(stt.SpeechEventType.FINAL_TRANSCRIPT, heard.text)
            yield stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH)


def _event(kind: stt.SpeechEventType, text: str) -> stt.SpeechEvent:
    return stt.SpeechEvent(kind, alternatives=[stt.SpeechData(LanguageCode("en"), text, confidence=1.0)])


class MelodyVAD(vad.VAD):
    """Distinguishes sound from silence."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=_BLOCK_SECONDS))

    def stream(self) -> vad.VADStream:
        return _Watching(self)


_BLOCK_SECONDS = 0.02
_BEGINS_AFTER = 0.04
_ENDS_AFTER = 0.1


class _Watching(vad.VADStream):
    async def _main_task(self) -> None:
        state = _Activity()
        waiting: Samples = np.zeros(0, np.int16)
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                state, waiting = _Activity(index=state.index), waiting[:0]
                continue
            waiting = np.concatenate([waiting, _samples(frame)])
            block = round(_BLOCK_SECONDS * frame.sample_rate)
            while len(waiting) >= block:
                for event in state.take(waiting[:block], frame.sample_rate):
                    self._event_ch.send_nowait(event)
                waiting = waiting[block:]
                await asyncio.sleep(0)


@dataclass
class _Activity:
    index: int = 0
    speech: float = 0.0
    silence: float = 0.0
    speaking: bool = False

    def take(self, block: Samples, rate: int) -> Iterator[vad.VADEvent]:
        """Takes one block of samples."""
        self.index += len(block)
        is_loud = float(np.sqrt(np.mean((block / 32768) ** 2))) > _AUDIBLE
        if is_loud:
            self.silence = 0.0
            self.speech += _BLOCK_SECONDS
        else:
            self.silence += _BLOCK_SECONDS
            if not self.speaking:
                self.speech = 0.0
        frame = rtc.AudioFrame(block.tobytes(), rate, 1, len(block))
        yield self._event(vad.VADEventType.INFERENCE_DONE, frame, float(is_loud))
        if not self.speaking and self.speech >= _BEGINS_AFTER:
            self.speaking = True
            yield self._event(vad.VADEventType.START_OF_SPEECH, frame, 1.0)
        elif self.speaking and self.silence >= _ENDS_AFTER:
            self.speaking = False
            yield self._event(vad.VADEventType.END_OF_SPEECH, frame, 0.0)
            self.speech = 0.0

    def _event(self, kind: vad.VADEventType, frame: rtc.AudioFrame, probability: float) -> vad.VADEvent:
        return vad.VADEvent(
            type=kind,
            samples_index=self.index,
            timestamp=self.index / frame.sample_rate,
            speech_duration=self.speech,
            silence_duration=self.silence,
            frames=[frame],
            probability=probability,
            speaking=self.speaking,
            raw_accumulated_speech=self.speech,
            raw_accumulated_silence=self.silence,
        )
