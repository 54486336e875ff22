"""Round trips from Python: `ping.py PEER ECHO_PORT FRAME_BYTES BLOCKS TRIPS`.

Through a session with the scripted agent, in turn with those of a bare asyncio connection to the echo server. Prints
the median of each block in microseconds.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import greenroom


async def block(trips: int, trip: Callable[[], Awaitable[object]]) -> float:
    """The median of so many round trips, in microseconds."""
    taken: list[float] = []
    for _ in range(trips):
        begun = time.perf_counter()
        await trip()
        taken.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(taken)


async def main(peer: str, echo_port: int, frame_bytes: int, blocks: int, trips: int) -> None:
    """Measures the two in turn; the first block of each warms up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", echo_port)
    frame = b"\x07" * frame_bytes

    async def echo() -> None:
        writer.write(frame)
        await reader.readexactly(frame_bytes)

    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder, "agent.py")
        agent.write_text("# The scripted agent stands for this file.\n")
        async with greenroom.start(agent, python=peer) as session:
            for _ in range(blocks + 1):
                ours.append(await block(trips, session.ping))
                bare.append(await block(trips, echo))
    writer.close()
    print(json.dumps({"session": ours[1:], "echo": bare[1:]}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:6])))
