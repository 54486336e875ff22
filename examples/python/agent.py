"""A coffee shop agent that needs no key and no network: its LLM is a script.

Say something to it:

    greenroom start agent.py
    greenroom say "hi"          it echoes
    greenroom say "weather"     it calls a tool
    greenroom say "boom"        it calls a tool that fails
    greenroom say "silent"      it does something and says nothing
    greenroom say "handoff"     the billing agent becomes active and introduces itself
    greenroom say "fail"        its LLM breaks down
    greenroom say "slow"        it answers after two seconds
    greenroom say "big"         it answers with 400,000 characters
    greenroom end

Start it with GREET=1 in the environment and it speaks first.

To make it your own, replace `ScriptedLLM` by a real model. Nothing else has to change.
"""

import asyncio
import json
import os
from typing import Any
from uuid import uuid4

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    cli,
    function_tool,
    llm,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

SLOW_SECONDS = 2.0
BIG_REPLY = "x" * 400_000

# The word that opens what the user says, and the tool that the LLM then calls.
TOOL_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "weather": ("lookup_weather", {"location": "Tokyo"}),
    "boom": ("boom", {}),
    "silent": ("stay_silent", {}),
    "handoff": ("to_billing", {}),
}


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
            self._say(f"The tool said: {last.output}")
            return

        text = (last.text_content or "") if last.type == "message" else ""
        word = text.split(maxsplit=1)[0].lower() if text.strip() else ""
        if word in TOOL_CALLS:
            self._call(*TOOL_CALLS[word])
        elif word == "fail":
            raise RuntimeError("the LLM is out of order")
        elif word == "big":
            self._say(BIG_REPLY)
        else:
            if word == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            self._say(f"echo: {text}")

    def _say(self, text: str) -> None:
        self._send(content=text)

    def _call(self, name: str, arguments: dict[str, Any]) -> None:
        call = llm.FunctionToolCall(
            call_id=f"call_{uuid4().hex[:12]}",
            name=name,
            arguments=json.dumps(arguments),
        )
        self._send(tool_calls=[call])

    def _send(self, **delta: Any) -> None:
        chunk = llm.ChatChunk(id="scripted", delta=llm.ChoiceDelta(role="assistant", **delta))
        self._event_ch.send_nowait(chunk)


class ShopAgent(Agent):
    """What every agent of the shop can do."""

    @function_tool
    async def lookup_weather(self, location: str) -> str:
        """Look up the weather.

        Args:
            location: The city to look it up for.
        """
        return f"Sunny in {location}"

    @function_tool
    async def boom(self) -> str:
        """Use the espresso machine, which is broken."""
        raise llm.ToolError("the espresso machine is broken")

    @function_tool
    async def stay_silent(self) -> None:
        """Take a note. A tool without a result asks for no reply."""


class Barista(ShopAgent):
    """Takes the orders."""

    def __init__(self) -> None:
        super().__init__(instructions="You are the barista of a coffee shop.")

    async def on_enter(self) -> None:
        if os.environ.get("GREET"):
            self.session.say("Welcome to the coffee shop!")

    @function_tool
    async def to_billing(self) -> Agent:
        """Hand the customer over to the billing agent."""
        return Billing()


class Billing(ShopAgent):
    """Takes the money."""

    def __init__(self) -> None:
        super().__init__(instructions="You are the cashier of a coffee shop.")

    async def on_enter(self) -> None:
        self.session.say("Billing here, how can I help?")


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    # No timer, so that the events of a turn do not depend on the machine's speed.
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(), user_away_timeout=None)
    # There is no TTS: with audio on, `say` would be refused.
    session.output.set_audio_enabled(False)
    session.output.set_transcription_enabled(False)
    await session.start(agent=Barista(), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
