"""An agent on livekit-agents in a room, for controllers in Node: `python_agent.py GUARD`.

GUARD is `host` (ours in place of the SDK's), `gate` (ours before it) or `unguarded`. The room is in LIVEKIT_URL, the
agent's token in LIVEKIT_TOKEN. Prints a line once its session runs, and ends when its standard input does.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from livekit import rtc

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))

from rooms.support.agents import Agent


class Place:
    """What the agent asks of a venue."""

    async def connect(self, _identity: str, *, room: rtc.Room, **_options: Any) -> None:
        """Joins with the token that is given."""
        await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])


async def main(guard: str) -> None:
    """Is there until nobody needs it any more."""
    agent = Agent(Place(), None if guard == "unguarded" else guard, {})
    await agent.start("agent")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await agent.close()
    await agent.room.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    # Threads of the SDK's native library may still call into an interpreter that is being taken down, and then abort.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
