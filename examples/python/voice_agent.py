"""A coffee shop agent that is spoken to, and needs no key and no network: it hears and sings
melodies (`melody.py`).

    async with greenroom.start("voice_agent.py", audio=True) as session:
        turn = await session.say("hi", tts=melody.sing)     it echoes
        turn = await session.say("weather", tts=melody.sing)   it calls a tool
        turn = await session.say("story", tts=melody.sing)     it talks for a while, to be interrupted

To make it your own, replace the LLM, STT, TTS and VAD by real ones. Nothing else has to change.
"""

import json
from typing import Any
from uuid import uuid4

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    TurnHandlingOptions,
    cli,
    function_tool,
    llm,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from melody import MelodySTT, MelodyTTS, MelodyVAD

STORY = "Once upon a time there was a bean that wanted to be a cup of coffee and went out into the world " * 2


class ScriptedLLM(llm.LLM[None]):
    """Stands in for a language model: the first word said decides the answer."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return ScriptedStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class ScriptedStream(llm.LLMStream):
    """One answer of the scripted LLM."""

    async def _run(self) -> None:
        last = self.chat_ctx.items[-1]
        if last.type == "function_call_output":
            self._send(content=f"the tool said {last.output}")
            return
        text = (last.text_content or "") if last.type == "message" else ""
        match text.split(maxsplit=1)[:1]:
            case ["weather"]:
                arguments = json.dumps({"location": "Tokyo"})
                call = llm.FunctionToolCall(
                    call_id=f"call_{uuid4().hex[:12]}", name="lookup_weather", arguments=arguments
                )
                self._send(tool_calls=[call])
            case ["story"]:
                self._send(content=STORY)
            case _:
                self._send(content=f"echo {text}")

    def _send(self, **delta: Any) -> None:
        chunk = llm.ChatChunk(id="scripted", delta=llm.ChoiceDelta(role="assistant", **delta))
        self._event_ch.send_nowait(chunk)


class Barista(Agent):
    """Takes the orders."""

    def __init__(self) -> None:
        super().__init__(instructions="You are the barista of a coffee shop.")

    @function_tool
    async def lookup_weather(self, location: str) -> str:
        """Look up the weather.

        Args:
            location: The city to look it up for.
        """
        return f"Sunny in {location}"


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(),
        stt=MelodySTT(),
        tts=MelodyTTS(),
        vad=MelodyVAD(),
        turn_handling=TurnHandlingOptions(
            # A melody has no pauses: a silence of this length ends it.
            turn_detection="vad",
            endpointing={"min_delay": 0.1, "max_delay": 0.5},
            interruption={"mode": "vad", "min_duration": 0.1},
        ),
        # Nothing echoes, so it may be interrupted from the first word on.
        aec_warmup_duration=None,
        # No timer, so that the events of a turn do not depend on the machine's speed.
        user_away_timeout=None,
    )
    await session.start(agent=Barista(), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
