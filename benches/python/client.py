"""The Room of LiveKit's Python SDK.

`client.py TRIPS STREAMS` measures what `greenroom-benches client` does, and prints the same JSON.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path

from livekit import rtc

# Longer than any answer takes, in seconds.
ANSWER_S = 60


async def main(trips: int, streams: int) -> dict[str, float]:
    """Joins, and measures the join, round trips of packets, streams, and what they cost."""
    idle = status("VmRSS")
    room = rtc.Room()
    answers: asyncio.Queue[None] = asyncio.Queue()

    def heard(packet: rtc.DataPacket) -> None:
        if packet.topic == "pong":
            answers.put_nowait(None)

    room.on("data_received", heard)
    message = bytes([7]) * 200

    async def ping() -> None:
        await room.local_participant.publish_data(message, topic="ping", destination_identities=["echo"])
        await asyncio.wait_for(answers.get(), ANSWER_S)

    begun = time.perf_counter()
    await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
    joined = time.perf_counter() - begun
    await ping()
    answered = time.perf_counter() - begun
    held, threads = status("VmRSS"), status("Threads")

    before = time.process_time()
    round_trips = []
    for _ in range(trips):
        begun = time.perf_counter()
        await ping()
        round_trips.append((time.perf_counter() - begun) * 1e6)
    processor = time.process_time() - before

    content = bytes((n * 2_654_435_761 & 0xFFFFFFFF) >> 24 for n in range(4 << 20))
    taken = []
    for _ in range(streams):
        begun = time.perf_counter()
        await room.local_participant.send_bytes(
            content, topic="files", name="file", compress=False, destination_identities=["echo"]
        )
        await asyncio.wait_for(answers.get(), ANSWER_S)
        taken.append((time.perf_counter() - begun) * 1e3)
    await room.disconnect()
    return {
        "join_ms": joined * 1e3,
        "answered_ms": answered * 1e3,
        "trip_us": statistics.median(round_trips),
        "processor_ms": processor / trips * 1e6,
        "stream_ms": statistics.median(taken),
        "room_kib": held - idle,
        "threads": threads,
    }


def status(name: str) -> int:
    """A number of this process, as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*map(int, sys.argv[1:])))))
