"""Plays the matrix of tests/gate_cases.json with real agents in rooms. tests/node/support/cases.mjs is its twin."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.text_format import MessageToString
from livekit import rtc
from livekit.agents.voice.events import UserInputTranscribedEvent
from livekit.agents.voice.remote_session import SessionHost, SessionTransport
from livekit.protocol.agent_pb import agent_session as pb

import greenroom

from .agents import HAS_HOST_CHOICE, TOPIC, Agent
from .eavesdropper import FENCE, Eavesdropper
from .server import Server
from .venue import Venue, holds_grant, send, until

MATRIX = json.loads((Path(__file__).parents[3] / "gate_cases.json").read_text())

# In a real room a hidden participant has no name, so its denial cannot be sent to it: it waits in vain.
_NAMELESS = "hidden participant"

_REQUESTS: dict[str, pb.SessionRequest] = {
    "ping": pb.SessionRequest(ping=pb.SessionRequest.Ping()),
    "history": pb.SessionRequest(get_chat_history=pb.SessionRequest.GetChatHistory()),
    "run_input": pb.SessionRequest(run_input=pb.SessionRequest.RunInput(text="hello")),
    # A request of the number 200, which no release has.
    "unknown": pb.SessionRequest.FromString(b"\xc2\x0c\x00"),
}
# Whether all that the SDK sends to one participant reaches everybody, however short it is: before livekit 1.1.21.
LEAKS_SHORT = not hasattr(rtc.LocalParticipant, "send_bytes")
_ANSWERS = {"ping": "pong", "history": "get_chat_history", "run_input": "run_input"}
_ERRORS = {"permission_denied": "denied", "unsupported request": "unsupported"}


@dataclass(frozen=True)
class Case:
    """One situation with one request, for one way to guard an agent and one kind of Room to ask with."""

    name: str
    request: str
    guard: str
    # The SDK's Room, or ours.
    room: str
    situation: dict[str, Any] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}-{self.request}-{self.guard}-{self.room}"


CASES = [
    Case(situation["name"], request, guard, room, situation)
    for situation in MATRIX["situations"]
    for request in situation["expected"]
    for guard in MATRIX["hosts"]
    for room in ("sdk", "native")
]


@dataclass
class Received:
    """What came to one participant: its responses by what they say, and the events as text."""

    responses: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """What everybody received and what they were to receive, and what the eavesdropper heard."""

    received: dict[str, Received]
    expected: dict[str, Received]
    overheard: list[bytes]
    # Turns that the agent took, and those that it was to take.
    turns: int
    expected_turns: int


async def play(server: Server, case: Case) -> Outcome:
    """Everything happens in a room of its own."""
    if case.guard == "host" and not HAS_HOST_CHOICE:
        raise Unplayable("the SDK has no `session_host=`")
    venue = Venue(server)
    try:
        room = await venue.connect("agent", kind="agent", grant=case.situation["agent_grant"])
        agent = Agent(venue, case.guard, {})
        line = Line(room)
        await agent.take(room)
        try:
            await until("the agent listens", lambda: agent.session.agent_state == "listening")
            stage = Stage(venue, agent, line, case)
            try:
                await stage.open()
                for step in case.situation["steps"]:
                    await stage.take(step)
                return stage.outcome()
            finally:
                await stage.close()
        finally:
            await agent.close()
    finally:
        await venue.close()


class Stage:
    """The participants of a situation around an agent that listens."""

    def __init__(self, venue: Venue, agent: Agent, line: "Line", case: Case) -> None:
        self._venue = venue
        self._agent = agent
        self._line = line
        self._case = case
        self._people: dict[str, Participant | NativeParticipant] = {}
        # Beside the host under test another of the SDK's tells this process what the session says.
        self._told = Told()
        self._teller = SessionHost(self._told)
        self._asked: list[str] = []
        self._fences: list[str] = []
        # Since when and until when a participant holds the grant, in events told.
        self._since: dict[str, int] = {}
        self._until: dict[str, int] = {}

    async def open(self) -> None:
        people: dict[str, dict[str, bool]] = self._case.situation["participants"]
        joined = await asyncio.gather(*(self._join(name, about) for name, about in people.items()))
        self._people = dict(zip(people, joined, strict=True))
        for name, about in people.items():
            person = self._people[name]
            if not about.get("hidden"):
                await until(f"the agent knows {name}", lambda name=name, sid=person.sid: self._knows(name, sid))
            await until(f"{name} knows the agent", lambda person=person: "agent" in person.others)
        self._since = {name: 0 for name, about in people.items() if about.get("grant") and not about.get("hidden")}
        self._teller.register_session(self._agent.session)
        await self._teller.start()

    async def _join(self, name: str, about: dict[str, bool]) -> "Participant | NativeParticipant":
        grant, hidden = about.get("grant"), about.get("hidden", False)
        # Whoever listens in needs to see what the SDK's Room sees.
        if self._case.room == "sdk" or name == "eve":
            return await Participant(await self._venue.connect(name, grant=grant, hidden=hidden)).__aenter__()
        token = self._venue.token(name, grant=grant, hidden=hidden)
        room = await greenroom.Room.connect(self._venue.server.url, token)
        await self._venue.announce(name)
        return await NativeParticipant(room).__aenter__()

    def _knows(self, name: str, sid: str) -> bool:
        known = self._agent.room.remote_participants.get(name)
        return known is not None and known.sid == sid

    async def close(self) -> None:
        await self._teller.aclose()
        for person in self._people.values():
            await person.__aexit__()

    async def take(self, step: dict[str, Any]) -> None:
        """One step of the situation, until nothing more comes of it."""
        match step:
            case {"ask": asker, **rest}:
                await self._ask(asker, hold=rest.get("hold", False))
            case {"set_grant": [who, grant]}:
                await self._venue.set_grant(who, grant)
                await until("the agent knows", lambda: holds_grant(self._agent.room, who) == grant)
                (self._since if grant else self._until)[who] = len(self._told.events)
            case {"release": True}:
                await self._release()
        await self._settle()

    async def _ask(self, asker: str | None, hold: bool) -> None:
        if self._case.request == "events":
            if not hold:
                self._emit()
            return
        assert asker is not None
        request_id = f"r{len(self._asked)}"
        self._asked.append(request_id)
        request = pb.SessionRequest()
        request.CopyFrom(_REQUESTS[self._case.request])
        request.request_id = request_id
        is_turn = self._case.request == "run_input"
        # What nobody knows is answered by the guard, so there is no answer of the agent's to hold back.
        hold = hold and self._case.request != "unknown"
        if hold and is_turn:
            request.run_input.text = "hold hello"
        elif hold:
            await self._stall()
        await self._send(asker, request)
        if hold and not is_turn:
            await until("it is let in", lambda: self._agent.decisions(asker) == ["allow"])
        elif hold:
            await until("the agent works on it", lambda: bool(self._agent.llm.held))
        elif self._case.name == _NAMELESS:
            await until("it is denied", lambda: self._agent.decisions("") == ["deny_unknown"])
        else:
            await self._answered(asker)

    async def _release(self) -> None:
        if self._case.request == "events":
            self._emit()
            return
        self._agent.llm.release.set()
        self._line.let_go()
        (asker,) = {step["ask"] for step in self._case.situation["steps"] if "ask" in step}
        await self._answered(asker)

    def _emit(self) -> None:
        said = UserInputTranscribedEvent(transcript="overheard", is_final=True)
        self._agent.session.emit("user_input_transcribed", said)

    async def _send(self, sender: str, request: pb.SessionRequest) -> None:
        await self._people[sender].send(pb.AgentSessionMessage(request=request).SerializeToString())

    async def _answered(self, asker: str) -> None:
        """Waits for the response to the last that was asked, and for the end of the turn."""
        last = self._asked[-1]
        await until(f"the response to {last}", lambda: last in [it.request_id for it in self._responses(asker)])
        await until("the agent listens", lambda: self._agent.session.agent_state == "listening")

    async def _stall(self) -> None:
        """Holds back what the agent answers at once: eve asks first, and her denial does not get off."""
        self._line.stall()
        await self._ask_as_eve()
        await until("the line is stalled", lambda: self._line.waiting == 1)

    async def _ask_as_eve(self) -> str:
        fence = f"fence-{len(self._fences)}"
        self._fences.append(fence)
        await self._send("eve", pb.SessionRequest(request_id=fence, ping=pb.SessionRequest.Ping()))
        return fence

    async def _settle(self) -> None:
        """Waits until all has come that was sent before. What is sent keeps its order: so eve, who may not, asks."""
        if self._line.waiting:
            return
        fence = await self._ask_as_eve()
        await until("the fence is denied", lambda: fence in [it.request_id for it in self._responses("eve")])
        eve = self._people["eve"]
        assert isinstance(eve, Participant)
        for person in self._people.values():
            if isinstance(person, NativeParticipant):
                await person.caught_up(self._agent.room, eve.room)
            else:
                await person.caught_up(self._agent.room)

    def _messages(self, name: str) -> list[pb.AgentSessionMessage]:
        return [pb.AgentSessionMessage.FromString(content) for _, content in self._people[name].delivered]

    def _responses(self, name: str) -> list[pb.SessionResponse]:
        return [message.response for message in self._messages(name) if message.HasField("response")]

    def outcome(self) -> Outcome:
        expected = self._expected()
        answered = expected.get("ann", Received()).responses.count("answer") + len(self._agent.llm.held)
        items = self._agent.session.history.items
        return Outcome(
            received={name: self._received(name) for name in self._people if name != "eve"},
            expected={name: expected.get(name, Received()) for name in self._people if name != "eve"},
            overheard=self._overheard(),
            turns=sum(item.type == "message" and item.role == "user" for item in items),
            expected_turns=answered if self._case.request == "run_input" else 0,
        )

    def _expected(self) -> dict[str, Received]:
        """As the matrix says."""
        expected: dict[str, dict[str, Any]] = self._case.situation["expected"][self._case.request]
        if self._case.name == _NAMELESS:
            expected = {}
        received: dict[str, Received] = {}
        for name, about in expected.items():
            # All that the agent told while they held the grant.
            assert about.get("events") == (None if "events" not in about else self._span(name))
            told = self._told.events[self._since.get(name, 0) : self._until.get(name)] if "events" in about else []
            assert bool(told) == ("events" in about), "the agent has told something"
            received[name] = Received(about.get("responses", []), told)
        return received

    def _span(self, name: str) -> str:
        return "until revoked" if name in self._until else "all"

    def _received(self, name: str) -> Received:
        received = Received()
        for (sender, _), message in zip(self._people[name].delivered, self._messages(name), strict=True):
            assert sender == "agent"
            if message.HasField("event"):
                received.events.append(content_of(message))
                continue
            response = message.response
            assert [response.request_id] == self._asked[len(received.responses) :][:1], "the asker's own id, in order"
            payload = response.WhichOneof("response")
            assert payload == (None if response.error else _ANSWERS.get(self._case.request))
            received.responses.append(_ERRORS.get(response.error, response.error) if response.error else "answer")
        # What was addressed to somebody else.
        assert strays_of_the_agent(self._people[name]) == {}
        return received

    def _overheard(self) -> list[bytes]:
        """What eve has got beside the denials of her own requests."""
        eve = self._people["eve"]
        assert isinstance(eve, Participant)
        denials = [
            pb.AgentSessionMessage(response=pb.SessionResponse(request_id=fence, error="permission_denied"))
            for fence in self._fences
        ]
        own = [denial.SerializeToString() for denial in denials]
        if not LEAKS_SHORT:
            return [content for content in eve.everything() if content not in own]
        heard = [content for sender, content in (*eve.delivered, *eve.strays.values()) if sender == "agent"]
        return [content for content in heard if content not in own]


def strays_of_the_agent(person: "Participant | NativeParticipant") -> dict[str, tuple[str, bytes]]:
    """What came of streams to others, but for what the SDK itself leaks of what other participants send by it."""
    return {stream: stray for stream, stray in person.strays.items() if stray[0] == "agent" or not LEAKS_SHORT}


class Unplayable(Exception):
    """A case that cannot be played on this release of the SDK."""


class Line:
    """Stands before what a Room sends, which waits while the line is stalled."""

    def __init__(self, room: rtc.Room) -> None:
        # Sends that wait.
        self.waiting = 0
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._send = getattr(room.local_participant, "send_bytes", None)
        if self._send is not None:
            vars(room.local_participant)["send_bytes"] = self._send_in_turn

    def stall(self) -> None:
        if self._send is None:
            raise Unplayable("what this release of the SDK sends cannot be held back")
        self._is_open.clear()

    def let_go(self) -> None:
        self._is_open.set()

    async def _send_in_turn(self, *arguments: Any, **options: Any) -> Any:
        self.waiting += 1
        await self._is_open.wait()
        self.waiting -= 1
        assert self._send is not None
        return await self._send(*arguments, **options)


class Participant(Eavesdropper):
    """Keeps all that it gets in the order in which its senders began it."""

    def __init__(self, room: rtc.Room) -> None:
        super().__init__(room)
        self._reads = asyncio.Lock()

    @property
    def sid(self) -> str:
        return self.room.local_participant.sid

    @property
    def others(self) -> set[str]:
        return set(self.room.remote_participants)

    async def send(self, message: bytes) -> None:
        local = self.room.local_participant
        await send(local, message, topic=TOPIC, name="raw", destination_identities=["agent"])

    async def _read(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        async with self._reads:
            await super()._read(reader, sender)


class NativeParticipant:
    """The same with a Room of ours, which shows nothing of streams to others."""

    def __init__(self, room: greenroom.Room) -> None:
        self.room = room
        self.delivered: list[tuple[str, bytes]] = []
        self.strays: dict[str, tuple[str, bytes]] = {}
        self._fences: set[str] = set()
        self._read_until = ""

    @property
    def sid(self) -> str:
        return self.room.local.sid

    @property
    def others(self) -> set[str]:
        return set(self.room.participants)

    async def __aenter__(self) -> "NativeParticipant":
        self._tasks = [
            asyncio.create_task(self._keep(self.room.receive(TOPIC))),
            asyncio.create_task(self._hear(self.room.events())),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.close()

    async def send(self, message: bytes) -> None:
        await self.room.send_bytes(message, topic=TOPIC, name="raw", to=["agent"], compress=False)

    async def caught_up(self, sender: rtc.Room, fencer: rtc.Room) -> None:
        """Waits until all is read that `sender` sent before this call; `fencer` is anybody else."""
        mark = uuid.uuid4().hex
        me = [self.room.local.identity]
        # Packets of one sender keep their order: what it sent before has come to this Room.
        await sender.local_participant.publish_data(mark, reliable=True, destination_identities=me, topic=FENCE)
        await until("the participant catches up", lambda: mark in self._fences)
        # Streams are read in the order in which they began: what had come is read.
        await send(fencer.local_participant, b"", topic=TOPIC, name=mark, destination_identities=me)
        await until("the participant has read all", lambda: self._read_until == mark)

    async def _keep(self, streams: greenroom.IncomingStreams) -> None:
        async for stream in streams:
            content = await stream.read()
            if stream.info.name in self._fences:
                self._read_until = stream.info.name
            else:
                self.delivered.append((stream.info.from_, content))

    async def _hear(self, events: greenroom.RoomEvents) -> None:
        async for event in events:
            if isinstance(event, greenroom.DataEvent) and event.topic == FENCE:
                self._fences.add(event.payload.decode())


class Told(SessionTransport):
    """A transport that keeps the events it is given, and gives nothing."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._closed = asyncio.Event()

    async def start(self) -> None: ...

    async def send_message(self, msg: pb.AgentSessionMessage) -> None:
        if msg.HasField("event"):
            self.events.append(content_of(msg))

    async def close(self) -> None:
        self._closed.set()

    def __aiter__(self) -> "Told":
        return self

    async def __anext__(self) -> pb.AgentSessionMessage:
        await self._closed.wait()
        raise StopAsyncIteration


def content_of(message: pb.AgentSessionMessage) -> str:
    """An event as text, without the time at which its host saw it."""
    event = pb.AgentSessionEvent()
    event.CopyFrom(message.event)
    event.ClearField("created_at")
    return MessageToString(event, as_one_line=True)
