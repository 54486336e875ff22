"""The example agent with one line more: a guard of ours, which the variable GUARD names. Run as any agent is."""

import math
import os
import sys
from pathlib import Path

from livekit.agents import AgentServer, AgentSession, JobContext, cli

import greenroom
import greenroom.livekit

sys.path.insert(0, str(Path(__file__).parents[4] / "examples" / "python"))

from agent import Barista, ScriptedLLM

GUARD = os.environ["GUARD"]

# A busy machine is no reason to refuse a test's only job.
server = AgentServer(host="127.0.0.1", port=0, load_threshold=math.inf, num_idle_processes=1)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(), user_away_timeout=None)
    session.output.set_audio_enabled(False)
    session.output.set_transcription_enabled(False)
    if GUARD == "gate":
        greenroom.gate(ctx.room)
        await session.start(agent=Barista(), room=ctx.room)
    else:
        await session.start(agent=Barista(), room=ctx.room, session_host=False)
        await greenroom.livekit.host(session, ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
