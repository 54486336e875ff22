"""Controllers that are there and do nothing: `audience.py COUNT...` fills a room with each of these numbers of them.

Prints a line once they are all connected, and ends when its standard input does, or when it is killed. See room.py for
the server.
"""

import asyncio
import logging
import sys

from room import join


async def main(counts: list[int]) -> None:
    """Everybody holds the grant, and nobody takes what is sent to them."""
    rooms = []
    for count in counts:
        for number in range(count):
            rooms.append(await join(f"audience-{count}", f"controller-{number}", grant=True))
    print("ready", flush=True)
    # They are connected as long as they are held.
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    # The SDK tells of each stream that nobody takes.
    logging.disable()
    asyncio.run(main([int(count) for count in sys.argv[1:]]))
