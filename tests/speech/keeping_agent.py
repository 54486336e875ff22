"""The agent with an ear that keeps what it is given: a WAV file for each utterance, in the folder that KEPT names."""

import os
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentServer, JobContext, cli, stt, utils

from agent import INSTRUCTIONS, speaking_session
from plugins import WhisperSTT

KEPT = Path(os.environ["KEPT"])


class KeepingSTT(WhisperSTT):
    async def _recognize_impl(self, buffer: utils.AudioBuffer, **options: Any) -> stt.SpeechEvent:
        path = KEPT / f"{len(list(KEPT.iterdir()))}.wav"
        path.write_bytes(rtc.combine_audio_frames(buffer).to_wav_bytes())
        return await super()._recognize_impl(buffer, **options)


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = speaking_session(KeepingSTT())
    await session.start(agent=Agent(instructions=INSTRUCTIONS), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
