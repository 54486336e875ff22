"""An agent that ends or misbehaves, each way by a word: tests say it and look at what is known of it.

Its LLM is a script. A word of `TOOL_CALLS` calls tools; with `START` in the environment it fails before it is ready,
or is set up in another way.
"""

import asyncio
import json
import logging
import os
import sys
import time
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import uuid4

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    RunContext,
    cli,
    function_tool,
    get_job_context,
    llm,
)
from livekit.agents.beta.tools import EndCallTool
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

if sys.version_info < (3, 11):

    class ExceptionGroup(Exception):
        """What Python has since 3.11, as far as it is used here."""

        __module__ = "builtins"

        def __str__(self) -> str:
            return f"{self.args[0]} ({len(self.args[1])} sub-exceptions)"


START = os.environ.get("START", "")
if START == "exit at import":
    sys.exit("no configuration")
if START == "quiet":
    # The author wants no more of the SDK's log.
    logging.getLogger("livekit.agents").setLevel(logging.WARNING)
if START == "other room":
    # An SDK whose stand-in for a room has changed.
    mock_room = types.ModuleType("mock_room")
    vars(mock_room)["create_mock_room"] = MagicMock
    sys.modules["livekit.agents.ipc.mock_room"] = mock_room



def note_end(*_: Any) -> None:
    """Writes down when the end begins, into the file that `MOMENT` names."""
    if moment := os.environ.get("MOMENT"):
        Path(moment).write_text(str(time.time()))


# The words that open what the user says, and the tools that the LLM then calls.
TOOL_CALLS = {
    "two tools": ["slow_tool", "fast_tool"],
    "end call": ["end_call"],
}


class ScriptedLLM(llm.LLM[None]):
    """Stands in for a language model."""

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
            self._send(content=f"The tool said: {last.output}")
            return
        text = (last.text_content or "") if last.type == "message" else ""
        name = text.removeprefix("tool ")
        names = TOOL_CALLS.get(text, []) if name == text else [name.replace(" ", "_")]
        if names:
            calls = [
                llm.FunctionToolCall(call_id=f"call_{uuid4().hex[:12]}", name=name, arguments=json.dumps({}))
                for name in names
            ]
            self._send(tool_calls=calls)
        elif text.startswith("big "):
            self._send(content="x" * int(text.removeprefix("big ")))
        else:
            self._send(content=f"echo: {text}")

    def _send(self, **delta: Any) -> None:
        chunk = llm.ChatChunk(id="scripted", delta=llm.ChoiceDelta(role="assistant", **delta))
        self._event_ch.send_nowait(chunk)


class CustomInterrupt(BaseException):
    """No subclass of Exception."""


class FaultyAgent(Agent):
    """Its tools are its faults."""

    def __init__(self) -> None:
        super().__init__(instructions="You fail.", tools=[EndCallTool(end_instructions="say goodbye")])

    @function_tool
    async def job_shutdown(self) -> str:
        """End the job."""
        get_job_context().shutdown("the caller is done")
        return "goodbye"

    @function_tool
    async def session_shutdown(self, ctx: RunContext[None]) -> str:
        """End the session."""
        ctx.session.shutdown()
        return "goodbye"

    @function_tool
    async def session_aclose(self, ctx: RunContext[None]) -> str:
        """End the session without its queue."""
        asyncio.get_running_loop().create_task(ctx.session.aclose())
        return "goodbye"

    @function_tool
    async def sys_exit(self) -> str:
        """Exit as scripts do."""
        note_end()
        sys.exit("a tool exits")

    @function_tool
    async def os_exit(self) -> str:
        """Exit at once."""
        note_end()
        os._exit(7)

    @function_tool
    async def stop_loop(self) -> str:
        """Stop the event loop."""
        note_end()
        asyncio.get_running_loop().stop()
        await asyncio.sleep(3600)
        return "never"

    @function_tool
    async def block_later(self) -> str:
        """Block the event loop for ten seconds, after the turn."""
        asyncio.get_running_loop().call_later(2, time.sleep, 10)
        return "soon"

    @function_tool
    async def stop_later(self) -> str:
        """Stop the event loop, after the turn."""
        loop = asyncio.get_running_loop()
        loop.call_later(2, loop.stop)
        return "soon"

    @function_tool
    async def cancel_all(self) -> str:
        """Cancel every task of the event loop."""
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(3600)
        return "never"

    @function_tool
    async def block_for_good(self) -> str:
        """Block the event loop."""
        time.sleep(3600)
        return "never"

    @function_tool
    async def block_for_a_while(self) -> str:
        """Block the event loop for seven seconds."""
        time.sleep(7)
        return "awake again"

    @function_tool
    async def surrogate(self) -> str:
        """Return what is no Unicode text."""
        return "ok \ud83d"

    @function_tool
    async def keyboard_interrupt(self) -> str:
        """Raise what ends a program."""
        raise KeyboardInterrupt("ctrl-c in a tool")

    @function_tool
    async def base_exception(self) -> str:
        """Raise what is no Exception."""
        raise CustomInterrupt("stop everything")

    @function_tool
    async def exception_group(self) -> str:
        """Raise several at once."""
        raise ExceptionGroup("two lookups failed", [ValueError("one"), KeyError("two")])

    @function_tool
    async def read_metadata(self) -> str:
        """Read what only a room has."""
        participant = next(iter(get_job_context().room.remote_participants.values()))
        return str(json.loads(participant.metadata)["tier"])

    @function_tool
    async def read_participant(self) -> str:
        """Tell who is there."""
        ctx = get_job_context()
        participant = next(iter(ctx.room.remote_participants.values()))
        known = [participant.identity, participant.name, participant.metadata]
        return "|".join(map(str, [*known, dict(participant.attributes), ctx.room.name, ctx.job.metadata]))

    @function_tool
    async def slow_tool(self) -> str:
        """Answer late."""
        await asyncio.sleep(0.5)
        return "slow"

    @function_tool
    async def fast_tool(self) -> str:
        """Answer at once."""
        return "fast"


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    if START == "return":
        return
    if START == "shutdown":
        ctx.shutdown("nothing to do")
        return
    if START == "exit":
        sys.exit("the entrypoint exits")
    if START == "os exit":
        os._exit(7)
    if START == "group":
        raise ExceptionGroup("two lookups failed", [ValueError("one"), KeyError("two")])
    if START == "interrupt":
        raise KeyboardInterrupt("ctrl-c at start")
    if START == "metadata":
        await ctx.connect()
        participant = await ctx.wait_for_participant()
        json.loads(participant.metadata)
    if START == "hang":
        await asyncio.sleep(3600)
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM())
    session.on("close", note_end)
    session.output.set_audio_enabled(False)
    session.output.set_transcription_enabled(False)
    await session.start(agent=FaultyAgent(), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
