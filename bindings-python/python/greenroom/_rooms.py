"""A LiveKit room that this process joins by itself, without LiveKit's SDK: participants, data,
streams."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import warnings
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from greenroom import _checks, _json
from greenroom._asyncio import running_loop
from greenroom._credentials import TrackSource
from greenroom._link import NativeHold, weak
from greenroom._native import NativeError, RoomDriver
from greenroom._session import _ask
from greenroom._start import _reached_by
from greenroom.audio import Frame
from greenroom.errors import InvalidArgument, forked, from_json

if TYPE_CHECKING:
    from livekit import rtc

__all__ = [
    "AudioStream",
    "DataEvent",
    "DisconnectedEvent",
    "IncomingStream",
    "IncomingStreams",
    "LocalAudioTrack",
    "LocalTrackPublishedEvent",
    "LocalTrackUnpublishedEvent",
    "Participant",
    "ParticipantChangedEvent",
    "ParticipantJoinedEvent",
    "ParticipantKind",
    "ParticipantLeftEvent",
    "Permissions",
    "PermissionsChangedEvent",
    "ReconnectedEvent",
    "ReconnectingEvent",
    "Room",
    "RoomEvent",
    "RoomEvents",
    "RoomGapEvent",
    "RoomInfo",
    "StreamInfo",
    "Track",
    "TrackKind",
    "TrackMutedEvent",
    "TrackPublishedEvent",
    "TrackSubscribedEvent",
    "TrackUnmutedEvent",
    "TrackUnpublishedEvent",
    "TrackUnsubscribedEvent",
]

ParticipantKind: TypeAlias = Literal["standard", "ingress", "egress", "sip", "agent", "other"]
"""What a participant is."""

TrackKind: TypeAlias = Literal["audio", "video", "other"]
"""What a track carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What a participant may do."""

    can_subscribe: bool
    """To receive others' tracks."""
    can_publish: bool
    """To publish tracks."""
    can_publish_data: bool
    """To send data."""
    can_update_metadata: bool
    """To change its own name, metadata and attributes."""
    can_manage_agent_session: bool
    """To observe and drive the session of an agent."""
    hidden: bool
    """Other participants are not notified of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What a participant publishes: audio or video."""

    sid: str
    """The server's id of it."""
    name: str
    """What its publisher calls it; need not be unique."""
    kind: TrackKind
    """What it carries."""
    source: TrackSource | Literal["unknown"]
    """Where that comes from."""
    muted: bool
    """Whether its publisher, or the server, has it silent for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A participant of a room, as the server last described it."""

    sid: str
    """The server's id of this stay in the room."""
    identity: str
    """The name it joined under, unique in the room."""
    name: str
    """What it is called; need not be unique."""
    kind: ParticipantKind
    """What it is."""
    is_active: bool
    """Whether media and data can reach it: it is connected, and not just about to be."""
    metadata: str
    """What its owner says about it."""
    attributes: Mapping[str, str]
    """The same, by keys."""
    permissions: Permissions | None
    """What it may do; None where the server does not say."""
    tracks: tuple[Track, ...]
    """What it publishes."""
    joined_at: float = field(metadata={"json": "joined_at_ms"})
    """When it joined, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomInfo:
    """A room."""

    sid: str
    """The server's id of it."""
    name: str
    """Its name."""
    metadata: str
    """What its owner says about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What a stream says about itself."""

    from_: str
    """Identity of the sender."""
    id: str
    """Its id."""
    topic: str
    """What it is about."""
    name: str
    """Its name, such as of a file; empty if it has none."""
    mime_type: str
    """What its bytes are."""
    attributes: Mapping[str, str]
    """Attributes set by the sender."""
    size: int | None
    """How many bytes it has; None where its sender does not know."""
    is_text: bool
    """Whether it is text, in UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantJoinedEvent:
    """A participant has joined. The server announces one without tracks up to 3 s late."""

    type: Literal["participant_joined"] = "participant_joined"
    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantLeftEvent:
    """A participant has left."""

    type: Literal["participant_left"] = "participant_left"
    participant: Participant
    """As it last was."""
    reason: str
    """Why, as far as the server says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionsChangedEvent:
    """What a participant may do has changed; this may be the local one."""

    type: Literal["permissions_changed"] = "permissions_changed"
    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantChangedEvent:
    """Anything else of a participant has changed; this may be the local one."""

    type: Literal["participant_changed"] = "participant_changed"
    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPublishedEvent:
    """Another participant has published a track, or did so before we joined; `Room.subscribe` is to
    hear it."""

    type: Literal["track_published"] = "track_published"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackUnpublishedEvent:
    """Another participant has taken a track back, or has left."""

    type: Literal["track_unpublished"] = "track_unpublished"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackMutedEvent:
    """A track is silent for now; this may be one of ours."""

    type: Literal["track_muted"] = "track_muted"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackUnmutedEvent:
    """A track is silent no more; this may be one of ours."""

    type: Literal["track_unmuted"] = "track_unmuted"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSubscribedEvent:
    """A track's media arrives from now on; sent again after a full reconnect."""

    type: Literal["track_subscribed"] = "track_subscribed"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackUnsubscribedEvent:
    """A track's media no longer arrives: it has no reader here, or is gone."""

    type: Literal["track_unsubscribed"] = "track_unsubscribed"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTrackPublishedEvent:
    """A track of ours was announced to the room."""

    type: Literal["local_track_published"] = "local_track_published"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTrackUnpublishedEvent:
    """A track of ours is gone."""

    type: Literal["local_track_unpublished"] = "local_track_unpublished"
    participant: Participant
    """Its publisher."""
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEvent:
    """A data packet has come."""

    type: Literal["data"] = "data"
    from_: str
    """Identity of the sender; empty if it was the server's API."""
    topic: str
    """What it is about."""
    reliable: bool
    """Whether it came over the channel on which nothing is lost."""
    payload: bytes
    """Its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectingEvent:
    """The connection broke; what is sent meanwhile waits."""

    type: Literal["reconnecting"] = "reconnecting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectedEvent:
    """The connection is back."""

    type: Literal["reconnected"] = "reconnected"
    fresh: bool
    """Whether this is another stay in the room, under another sid: what was sent meanwhile by
    others is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomGapEvent:
    """This reader was too slow."""

    type: Literal["gap"] = "gap"
    dropped: int
    """How many events are missing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectedEvent:
    """The room is left for good; the last event."""

    type: Literal["disconnected"] = "disconnected"
    reason: str
    """Why, in one word."""
    message: str
    """Why, for people."""


RoomEvent: TypeAlias = (
    ParticipantJoinedEvent
    | ParticipantLeftEvent
    | PermissionsChangedEvent
    | ParticipantChangedEvent
    | TrackPublishedEvent
    | TrackUnpublishedEvent
    | TrackMutedEvent
    | TrackUnmutedEvent
    | TrackSubscribedEvent
    | TrackUnsubscribedEvent
    | LocalTrackPublishedEvent
    | LocalTrackUnpublishedEvent
    | DataEvent
    | ReconnectingEvent
    | ReconnectedEvent
    | RoomGapEvent
    | DisconnectedEvent
)
"""Something that happened in a room."""

_Answer = tuple[dict[str, Any], bytes | None]
_Completion = tuple[bool, str, bytes | None]


class Room:
    """A room that was joined. Get one from `Room.connect`; leave it by `close`, or by `async with`.

    Methods that send can raise:
        PermissionDenied: The token does not allow it; the server would drop it silently.
        TooLarge: It is over a size cap.
        AgentGone, SessionClosed: The room was left, and why.
        Busy: Too many calls wait already.
        Forked: This process is a fork of the one that joined.
        InvalidArgument: An argument is invalid, or the room belongs to another event loop.
    """

    _loop: asyncio.AbstractEventLoop
    _process: int
    _tokens: itertools.count[int]
    _waiting: dict[int, asyncio.Future[_Completion]]
    _closing: asyncio.Future[_Completion] | None
    _is_detached: bool
    _driver: RoomDriver
    _hold: NativeHold

    def __init__(self) -> None:
        raise InvalidArgument("a room is joined by `await greenroom.Room.connect(url, token)`")

    @classmethod
    async def connect(
        cls,
        url: str,
        token: str,
        *,
        timeout: float = 15.0,
        ca: str | os.PathLike[str] | bytes | None = None,
        proxy: str | None = None,
    ) -> Room:
        """Join the room that the token names, and wait until data can be sent.

            async with await greenroom.Room.connect(url, token) as room:
                await room.send_text("hello", topic="chat")

        To cancel it gives up, and leaves nothing behind.

        Args:
            url: The server: `wss://…`, `ws://…`, `https://…` or `http://…`.
            token: The access token, which names the room and our identity.
            timeout: Seconds that each step may take: the signal connection, and from there until
                data can be sent.
            ca: The authorities to trust instead of the system's, as in `greenroom.join`.
            proxy: The HTTP proxy through which the server is reached, as in `greenroom.join`.

        Raises:
            InvalidArgument: Url, token, authorities or proxy are none.
            PermissionDenied: The server refuses the token: it has expired, or is signed with
                another key.
            Unsupported: The server is too old.
            SessionTimeout, IoError: The server cannot be reached, or is not trusted; the message
                says at which step.
        """
        _checks.each(_checks.text, url=url, token=token)
        _checks.seconds("timeout", timeout)
        room = object.__new__(cls)
        options = {"url": url, "token": token, "connect_timeout": timeout, **_reached_by(ca, proxy)}
        await room._join(json.dumps(options))
        return room

    # ---- participants ----------------------------------------------------------------------------------------------

    @property
    def info(self) -> RoomInfo:
        """The room."""
        return _json.build(RoomInfo, self._snapshot()["room"])

    @property
    def local(self) -> Participant:
        """Our own participant."""
        return _json.build(Participant, self._snapshot()["local"])

    @property
    def participants(self) -> dict[str, Participant]:
        """The others, by identity."""
        others = [_json.build(Participant, other) for other in self._snapshot()["participants"]]
        return {other.identity: other for other in others}

    @property
    def disconnected(self) -> DisconnectedEvent | None:
        """Why the room was left, once it was."""
        why = self._snapshot()["disconnected"]
        return None if why is None else _json.build(DisconnectedEvent, why)

    def events(self) -> RoomEvents:
        """An iterator of what happens, which ends after `DisconnectedEvent`.

        The first one of a room begins with the join, later ones with now. Each keeps up to 512
        events for its reader; one that is slower gets a `RoomGapEvent` with the count of what it
        missed.
        """
        return RoomEvents(self, _ask(self._driver.open_events))

    # ---- data ------------------------------------------------------------------------------------------------------

    async def publish(self, payload: bytes, *, topic: str = "", to: Sequence[str] = (), reliable: bool = True) -> None:
        """Send a data packet of up to about 63 kB to these identities, or to the whole room;
        returns when it has left."""
        _checks.text("topic", topic)
        _checks.flag("reliable", reliable)
        _bytes("payload", payload)
        await self._call({"call": "publish", "topic": topic, "to": _identities(to), "reliable": reliable}, payload)

    async def send_bytes(
        self,
        data: bytes,
        *,
        topic: str,
        to: Sequence[str] = (),
        name: str | None = None,
        mime_type: str | None = None,
        attributes: Mapping[str, str] | None = None,
        compress: bool = True,
    ) -> str:
        """Send bytes, up to 64 MiB, as one stream; back when all has left, which is not yet when it
        has arrived.

        Args:
            data: The bytes.
            topic: Its topic; listeners of the topic receive the stream.
            to: Identities of the receivers. Default: the whole room.
            name: Its name, such as of a file.
            mime_type: What the bytes are.
            attributes: Attributes of the stream.
            compress: Whether it may be compressed, where all recipients can read that.

        Returns:
            The stream's id.
        """
        _bytes("data", data)
        call = _sending("send_bytes", topic, to, name, mime_type, attributes, compress)
        answer, _ = await self._call(call, data)
        return str(answer["id"])

    async def send_text(
        self,
        text: str,
        *,
        topic: str,
        to: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        compress: bool = True,
    ) -> str:
        """Send text as one stream; the arguments are those of `send_bytes`."""
        if not isinstance(text, str):
            raise InvalidArgument(f"the text to send is a {type(text).__name__}; pass a str")
        call = _sending("send_text", topic, to, None, None, attributes, compress)
        answer, _ = await self._call(call, text.encode())
        return str(answer["id"])

    def receive(self, topic: str) -> IncomingStreams:
        """From now on the streams of a topic come in here, bytes and texts. Those that begin before
        are dropped.

        Raises:
            InvalidArgument: They come in elsewhere already.
        """
        _checks.text("topic", topic)
        return IncomingStreams(self, _ask(self._driver.receive, topic))

    # ---- audio -----------------------------------------------------------------------------------------------------

    async def publish_audio(self, name: str = "microphone", *, source: TrackSource = "microphone") -> LocalAudioTrack:
        """Publish audio; back when it can be given. It is published until it is taken back, or the
        room is left.

            track = await room.publish_audio()
            async for frame in mic:
                await track.capture_frame(frame)

        Args:
            name: What it is called; need not be unique.
            source: Where it comes from. Agents listen to microphones.

        Raises:
            PermissionDenied: The token does not grant `can_publish`, or not for this source.
            SessionTimeout: The server does not take it.
        """
        _checks.each(_checks.text, name=name, source=source)
        answer, _ = await self._call({"call": "publish_audio", "name": name, "source": source})
        return LocalAudioTrack(self, answer["track"], answer["sid"], name)

    async def subscribe(self, track: Track | str, *, rate: int = 48000) -> AudioStream:
        """Read an audio track that another participant publishes; back when it comes in.

            async for frame in await room.subscribe(event.track, rate=16000):
                ...

        Args:
            track: The track, or its sid. Unread tracks are not sent to us.
            rate: Of the frames, in Hz: 48000, 24000, 16000, 12000 or 8000.

        Raises:
            InvalidArgument: There is no such track, it is read already, or there is no such rate.
            PermissionDenied: The token does not grant `can_subscribe`, or the publisher does not
                let us have it.
            SessionTimeout: The server doesn't send it.
        """
        sid = track.sid if isinstance(track, Track) else track
        _checks.text("track", sid)
        _checks.whole("rate", rate)
        answer, _ = await self._call({"call": "subscribe", "sid": sid, "rate": rate})
        return AudioStream(self, answer["reader"], _json.build(Track, answer["track"]), answer["from"], rate)

    # ---- ourselves -------------------------------------------------------------------------------------------------

    async def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Change attributes of our own participant; an empty value removes one. It needs
        `can_update_metadata`."""
        _checks.text_mapping("attributes", attributes)
        await self._call({"call": "set_attributes", "attributes": dict(attributes)})

    async def set_metadata(self, metadata: str) -> None:
        """Change the metadata of our own participant, to what is not empty. It needs
        `can_update_metadata`."""
        _checks.text("metadata", metadata)
        await self._call({"call": "set_metadata", "metadata": metadata})

    async def close(self) -> None:
        """Leave the room, after what was sent has arrived or 3 s have passed. May be called
        again."""
        self._check_loop()
        if self._closing is None:
            token = next(self._tokens)
            self._closing = self._waiting[token] = self._loop.create_future()
            _ask(self._driver.close, token)
        # A cancelled waiter doesn't stop the end.
        await asyncio.shield(self._closing)
        self._detach()

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- how -------------------------------------------------------------------------------------------------------

    async def _join(self, options: str) -> None:
        self._loop = running_loop()
        self._process = os.getpid()
        self._tokens = itertools.count(1)
        self._waiting = {}
        self._closing = None
        self._is_detached = False
        token = next(self._tokens)
        joined = self._waiting[token] = self._loop.create_future()
        self._driver = _ask(RoomDriver, options, token)
        self._hold = NativeHold(self._driver, partial(self._driver.close, 0))
        self._abandon = weakref.finalize(self, _abandon, self._hold, os.getpid())
        self._abandon.atexit = False
        try:
            await self._hold.attach(weak(self._on_wake))
            await self._answer(token, joined)
        except BaseException:
            await self.close()
            raise

    async def _call(self, call: dict[str, Any], payload: bytes = b"") -> _Answer:
        self._check_loop()
        token = next(self._tokens)
        waiter = self._waiting[token] = self._loop.create_future()
        try:
            _ask(self._driver.submit, json.dumps(call), bytes(payload), token)
        except BaseException:
            del self._waiting[token]
            raise
        if self._is_detached:
            # It is answered at once, with no other reader.
            self._on_wake()
        return await self._answer(token, waiter)

    async def _answer(self, token: int, waiter: asyncio.Future[_Completion]) -> _Answer:
        try:
            succeeded, text, payload = await waiter
        except asyncio.CancelledError:
            _ask(self._driver.cancel, token)
            raise
        finally:
            self._waiting.pop(token, None)
        if not succeeded:
            raise from_json(text)
        answer: dict[str, Any] = json.loads(text)
        return answer, payload

    def _on_wake(self) -> None:
        for token, succeeded, text, payload in self._driver.drain():
            waiter = self._waiting.get(token)
            if waiter is not None and not waiter.done():
                waiter.set_result((succeeded, text, payload))

    def _snapshot(self) -> dict[str, Any]:
        snapshot: dict[str, Any] = json.loads(_ask(self._driver.snapshot))
        return snapshot

    def _detach(self) -> None:
        if not self._is_detached:
            self._is_detached = True
            self._abandon.detach()
            self._hold.detach()
            self._on_wake()

    def _check_loop(self) -> None:
        if os.getpid() != self._process:
            raise forked(self._process)
        if running_loop() is not self._loop:
            raise InvalidArgument("this room belongs to another event loop; use it where it was joined")


class _Reader:
    """What comes in, one after the other. To cancel a wait loses nothing: the next one gets it."""

    def __init__(self, room: Room, number: int) -> None:
        self._room = room
        self._number = number
        self._pending: asyncio.Future[_Answer] | None = None
        self._release = weakref.finalize(self, _close_reader, room._driver, number)
        self._release.atexit = False

    async def _next(self) -> _Answer:
        """The next; StopAsyncIteration at the end."""
        if not self._release.alive:
            raise StopAsyncIteration
        if self._pending is None:
            call = self._room._call({"call": "next", "reader": self._number})
            self._pending = asyncio.ensure_future(call)
            # Its waiter may have been cancelled.
            self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())
        pending = self._pending
        try:
            answer = await asyncio.shield(pending)
        finally:
            if pending.done():
                self._pending = None
        if answer[0].get("end"):
            self._release()
            raise StopAsyncIteration
        return answer

    async def aclose(self) -> None:
        """Stop reading; the room stays joined."""
        self._release()


class RoomEvents(_Reader, AsyncIterator[RoomEvent]):
    """What happens in a room; see `Room.events`."""

    def __aiter__(self) -> RoomEvents:
        return self

    async def __anext__(self) -> RoomEvent:
        event, payload = await self._next()
        given = event if payload is None else {**event, "payload": payload}
        built: RoomEvent = _json.build(_CLASSES[event["type"]], given)
        return built


class IncomingStreams(_Reader, AsyncIterator["IncomingStream"]):
    """The streams of one topic, in the order in which they began; see `Room.receive`."""

    def __aiter__(self) -> IncomingStreams:
        return self

    async def __anext__(self) -> IncomingStream:
        answer, _ = await self._next()
        return IncomingStream(self._room, answer["reader"], _json.build(StreamInfo, answer["info"]))


class IncomingStream(_Reader, AsyncIterator[bytes]):
    """A stream that comes in: iterate over its parts, or `read` it whole.

    Attributes:
        info: What it says about itself.
    """

    def __init__(self, room: Room, number: int, info: StreamInfo) -> None:
        super().__init__(room, number)
        self.info = info

    def __aiter__(self) -> IncomingStream:
        return self

    async def __anext__(self) -> bytes:
        _, part = await self._next()
        return part or b""

    async def read(self) -> bytes:
        """All of it.

        Raises:
            TooLarge: It was not read fast enough.
            ProtocolError: It was broken off.
        """
        return b"".join([part async for part in self])

    async def read_text(self) -> str:
        """All of it, as text."""
        return (await self.read()).decode(errors="replace")


class AudioStream(_Reader, AsyncIterator[Frame]):
    """The audio of another participant's track, in frames of usually 20 ms; see `Room.subscribe`.

    Two seconds wait for a slow reader, then the oldest is dropped. What is missing is made up as
    well as Opus can; such frames, and the first after a longer hole, say in `lost` how much it is.
    `time` counts from the first frame.

    Attributes:
        track: What is read, as it was when it was asked for.
        from_: Identity of the publisher.
        rate: Of the frames, in Hz.
    """

    def __init__(self, room: Room, number: int, track: Track, from_: str, rate: int) -> None:
        super().__init__(room, number)
        self.track = track
        self.from_ = from_
        self.rate = rate

    def __aiter__(self) -> AudioStream:
        return self

    async def __anext__(self) -> Frame:
        answer, samples = await self._next()
        return Frame(data=samples or b"", rate=self.rate, time=answer["time_ms"] / 1000, lost=answer["lost"])


class LocalAudioTrack:
    """A track that we publish: one channel, which leaves in real time; see `Room.publish_audio`.

    It survives reconnects; after a full one the others know it under another sid.

    Attributes:
        sid: The server's id of it when it was published.
        name: What it is called.
    """

    def __init__(self, room: Room, number: int, sid: str, name: str) -> None:
        self._room = room
        self._number = number
        self.sid = sid
        self.name = name

    async def capture_frame(self, frame: Frame | rtc.AudioFrame) -> None:
        """Write audio of any rate and number of channels; waits while one second is queued.

        Args:
            frame: A frame, LiveKit's own too. It follows on what was given before; after a pause it
                leaves at once.

        Raises:
            InvalidArgument: The rate cannot become 48 kHz, or the track is not published any more.
        """
        given = frame if isinstance(frame, Frame) else Frame.from_rtc(frame)
        await self._call("capture_frame", given.data, rate=given.rate, channels=given.channels)

    async def wait_for_playout(self) -> None:
        """Wait until all that was given has left."""
        await self._call("wait_for_playout")

    async def clear_queue(self) -> None:
        """Drop queued audio, as for an interrupted speaker."""
        await self._call("clear_queue")

    async def mute(self) -> None:
        """Mute it, and announce that to the room. Audio written meanwhile is dropped in real
        time."""
        await self._call("set_muted", muted=True)

    async def unmute(self) -> None:
        """End the silence."""
        await self._call("set_muted", muted=False)

    async def unpublish(self) -> None:
        """Take it back; what has not left is dropped. May be called again."""
        await self._call("unpublish")

    async def _call(self, call: str, payload: bytes = b"", **more: int) -> None:
        await self._room._call({"call": call, "track": self._number, **more}, payload)


_CLASSES: dict[str, type[Any]] = {
    "participant_joined": ParticipantJoinedEvent,
    "participant_left": ParticipantLeftEvent,
    "permissions_changed": PermissionsChangedEvent,
    "participant_changed": ParticipantChangedEvent,
    "track_published": TrackPublishedEvent,
    "track_unpublished": TrackUnpublishedEvent,
    "track_muted": TrackMutedEvent,
    "track_unmuted": TrackUnmutedEvent,
    "track_subscribed": TrackSubscribedEvent,
    "track_unsubscribed": TrackUnsubscribedEvent,
    "local_track_published": LocalTrackPublishedEvent,
    "local_track_unpublished": LocalTrackUnpublishedEvent,
    "data": DataEvent,
    "reconnecting": ReconnectingEvent,
    "reconnected": ReconnectedEvent,
    "gap": RoomGapEvent,
    "disconnected": DisconnectedEvent,
}


def _sending(
    call: str,
    topic: str,
    to: Sequence[str],
    name: str | None,
    mime_type: str | None,
    attributes: Mapping[str, str] | None,
    compress: bool,
) -> dict[str, Any]:
    _checks.text("topic", topic)
    _checks.optional(_checks.text, name=name, mime_type=mime_type)
    _checks.optional(_checks.text_mapping, attributes=attributes)
    _checks.flag("compress", compress)
    return {
        "call": call,
        "topic": topic,
        "to": _identities(to),
        "name": name,
        "mime_type": mime_type,
        "attributes": dict(attributes or {}),
        "compress": compress,
    }


def _identities(to: Sequence[str]) -> list[str]:
    if isinstance(to, str):
        raise InvalidArgument(f"to is {to!r}; it takes a list of identities, such as [{to!r}]")
    _checks.texts("to", to)
    return list(to)


def _bytes(what: str, value: object) -> None:
    # `bytes(3)` is three zeros.
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InvalidArgument(f"{what} is of type {type(value).__name__}; pass bytes")


def _close_reader(driver: RoomDriver, number: int) -> None:
    try:
        driver.close_reader(number)
    except NativeError:
        # This is a fork: the reader is its parent's.
        return


def _abandon(hold: NativeHold, process: int) -> None:
    """A room was collected without having been closed."""
    if os.getpid() != process:
        return
    warnings.warn("a greenroom Room was never closed; close() it, or use `async with`", ResourceWarning, stacklevel=2)
    hold.abandon()
