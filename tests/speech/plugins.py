"""The voice and the ear as plugins of livekit-agents, small and usual: neither knows of Greenroom."""

import asyncio
import io

from livekit import rtc
from livekit.agents import APIConnectOptions, stt, tts, utils
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from models import Ear, Voice


class HibariTTS(tts.TTS[None]):
    """Says what an agent answers."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=Voice.rate, num_channels=1)
        self.voice = Voice()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Saying(self, text, conn_options)


class _Saying(tts.ChunkedStream):
    def __init__(self, plugin: HibariTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=plugin, input_text=text, conn_options=conn_options)
        self._voice = plugin.voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(), sample_rate=Voice.rate, num_channels=1, mime_type="audio/pcm"
        )
        samples = await asyncio.to_thread(self._voice.say, self.input_text)
        output_emitter.push(samples.tobytes())
        output_emitter.flush()


class WhisperSTT(stt.STT[None]):
    """Hears what is said to an agent, an utterance at a time, as the agent's VAD cuts them."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._ear = Ear()

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        wav = io.BytesIO(rtc.combine_audio_frames(buffer).to_wav_bytes())
        text = await asyncio.to_thread(self._ear.hear, wav)
        heard = stt.SpeechData(LanguageCode("en"), text)
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])
