"""An agent that says back what it hears, with a real voice and a real ear; its LLM is no model."""

from typing import Any

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    TurnHandlingOptions,
    cli,
    inference,
    llm,
    stt,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from plugins import HibariTTS, WhisperSTT

INSTRUCTIONS = "You say back what you hear."


class EchoLLM(llm.LLM[None]):
    """Answers with what was said last."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return _Echo(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Echo(llm.LLMStream):
    async def _run(self) -> None:
        last = self.chat_ctx.items[-1]
        text = (last.text_content or "") if last.type == "message" else ""
        delta = llm.ChoiceDelta(role="assistant", content=text)
        self._event_ch.send_nowait(llm.ChatChunk(id="echo", delta=delta))


def speaking_session(ear: stt.STT[None] | None = None) -> AgentSession[None]:
    """A session of the agent, which nothing has been started or connected for. Without an ear it has the usual one."""
    return AgentSession(
        llm=EchoLLM(),
        stt=ear or WhisperSTT(),
        tts=HibariTTS(),
        # The SDK's own, of Silero's model, which it brings along. It takes pauses within a sentence for part of it.
        vad=inference.VAD(min_silence_duration=0.6),
        turn_handling=TurnHandlingOptions(turn_detection="vad", endpointing={"min_delay": 0.1, "max_delay": 0.5}),
        aec_warmup_duration=None,
        user_away_timeout=None,
    )


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = speaking_session()
    await session.start(agent=Agent(instructions=INSTRUCTIONS), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
