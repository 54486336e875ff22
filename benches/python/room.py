"""A session that goes through a room, from Python.

- `room.py pings BLOCKS TRIPS`: the smallest call, through our host and our controller in turn with the SDK's own pair,
  in rooms of their own. Prints the median of each block in microseconds.
- `room.py events BLOCKS EVENTS COUNT...`: one event of an agent, in rooms with so many controllers that hold the grant,
  which `audience.py` has filled, in turn with a bare send of the same bytes to the same. Prints this process's time for
  one, of each block, in microseconds.

The server and its key are in LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

from livekit import api, rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import remote_session as sdk
from livekit.protocol.agent_pb import agent_session as pb

import greenroom
import greenroom.livekit as ours

# How long the server may take until it tells the agent who is there, in seconds. It does so every 3 s.
ANNOUNCED_S = 60


async def join(name: str, identity: str, *, grant: bool = False) -> rtc.Room:
    """A Room that is connected to the room of that name; a holder of the grant, or an agent."""
    grants = api.VideoGrants(room_join=True, room=name, can_manage_agent_session=grant, agent=not grant)
    token = api.AccessToken().with_identity(identity).with_kind("standard" if grant else "agent").with_grants(grants)
    room = rtc.Room()
    await room.connect(os.environ["LIVEKIT_URL"], token.to_jwt())
    return room


async def populated(room: rtc.Room, others: int) -> None:
    """Waits until so many others are known."""
    deadline = time.monotonic() + ANNOUNCED_S
    while len(room.remote_participants) < others:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(room.remote_participants)} of {others} participants were announced")
        await asyncio.sleep(0.05)


async def pings(blocks: int, trips: int) -> dict[str, list[float]]:
    """Measures both pairs in turn; the first block of each warms up."""
    session: AgentSession[None] = AgentSession(user_away_timeout=None)
    await session.start(Agent(instructions="Answer."))
    rooms = {name: [await join(name, "agent"), await join(name, "boss", grant=True)] for name in ("ours", "sdk")}
    for pair in rooms.values():
        for room in pair:
            await populated(room, 1)

    host = await ours.host(session, rooms["ours"][0])
    controller = await greenroom.attach(rooms["ours"][1])
    sdk_host = sdk.SessionHost(sdk.RoomSessionTransport(rooms["sdk"][0]))
    sdk_host.register_session(session)
    await sdk_host.start()
    sdk_controller = sdk.RemoteSession.from_room(rooms["sdk"][1], "agent")
    await sdk_controller.start()

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "ours": controller.framework_info,
        "sdk": sdk_controller.get_framework_info,
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(blocks + 1):
        for name, call in calls.items():
            taken[name].append(await block(trips, call))

    await controller.close()
    await sdk_controller.aclose()
    await host.aclose()
    await sdk_host.aclose()
    await session.aclose()
    for room in (*rooms["ours"], *rooms["sdk"]):
        await room.disconnect()
    return {name: blocks[1:] for name, blocks in taken.items()}


async def block(trips: int, call: Callable[[], Awaitable[object]]) -> float:
    """The median of so many calls, in microseconds."""
    taken: list[float] = []
    for _ in range(trips):
        begun = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(taken)


async def events(blocks: int, count: int, *controllers: int) -> dict[str, list[float]]:
    """Measures the rooms in turn; the first block of each warms up."""
    rooms = {number: await join(f"audience-{number}", "agent") for number in controllers}
    transports = {number: ours.RoomSessionTransport(room) for number, room in rooms.items()}
    for number, transport in transports.items():
        await transport.start()
        await populated(rooms[number], number)
    said = pb.AgentSessionEvent.UserInputTranscribed(transcript="what somebody says in a turn " * 4, is_final=True)
    message = pb.AgentSessionMessage(event=pb.AgentSessionEvent(user_input_transcribed=said))
    sends: dict[str, Callable[[], Awaitable[object]]] = {}
    for number, transport in transports.items():
        sends[f"event {number}"] = partial(transport.send_message, message)
        bare = partial(rooms[number].local_participant.send_bytes, topic="bare", name="bare")
        everybody = list(rooms[number].remote_participants)
        sends[f"bare {number}"] = partial(bare, message.SerializeToString(), destination_identities=everybody)
    taken: dict[str, list[float]] = {name: [] for name in sends}
    for _ in range(blocks + 1):
        for name, send in sends.items():
            begun = time.process_time()
            for _ in range(count):
                await send()
            taken[name].append((time.process_time() - begun) * 1e6 / count)
    for number, transport in transports.items():
        await transport.close()
        await rooms[number].disconnect()
    return {name: blocks[1:] for name, blocks in taken.items()}


if __name__ == "__main__":
    measure = {"pings": pings, "events": events}[sys.argv[1]]
    print(json.dumps(asyncio.run(measure(*map(int, sys.argv[2:])))))
