"""One LiveKit Room, and all of the session protocol that goes through it.

There is one `Exchange` for each Room, however many hosts and controllers use it: it holds the Room's only handler of
the topic and its only line of sends. What may pass is decided by the native `RoomTopic`; here its messages are
carried.

Of the SDK, only what is public is used, long messages apart (see `_targeted`), and a test watches it:

- `Room`: `register_byte_stream_handler`, `unregister_byte_stream_handler`, `on`, `off`, `isconnected`,
  `connection_state`, `remote_participants` by identity, `local_participant`; its events `participant_connected`,
  `participant_disconnected`, `participant_permissions_changed`, `connection_state_changed`, `reconnected`,
  `disconnected`; where it tells of no permissions, they are read before each decision;
- a participant's `sid`, `identity`, `kind`, `attributes`, `permissions.can_manage_agent_session` and
  `permissions.hidden`;
- `LocalParticipant.send_bytes(data, *, topic, name, destination_identities, attributes)`, from livekit 1.1.21 on, or
  `stream_bytes(name, *, total_size, topic, destination_identities, attributes)` and its writer's `write` and `aclose`;
- a reader of a byte stream: `info.size`, `info.attributes`, `async for`, and `close` from livekit 1.1.15 on.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from greenroom._asyncio import running_loop
from greenroom._eager import start
from greenroom._link import CarriedLink, Receiver, weak
from greenroom._livekit import check_room, is_agent_kind, is_connected, publishes_on_behalf, tells_of_permissions
from greenroom._native import Driver, RoomTopic, check_local
from greenroom._policy import AuditCallback
from greenroom._session import _ask
from greenroom._targeted import Addresses, send_stream
from greenroom.errors import InvalidArgument, IoError

if TYPE_CHECKING:
    from greenroom.events import CloseReason

TOPIC = "lk.agent.session"

# The attribute of a stream by which a controller that is hidden says who it is.
_CLAIM = "greenroom.identity"
# How long the SDK may take to send one message, in seconds: longer than a reconnect takes.
_SEND_SECONDS = 30.0
_TOO_SLOW = f"the SDK did not take it within {_SEND_SECONDS:.0f} s"

logger = logging.getLogger("greenroom")
audit_logger = logging.getLogger("greenroom.audit")


class Exchange:
    """All of the session protocol that goes through one Room. It belongs to the event loop that it was made on."""

    def __init__(self, room: Any) -> None:
        self.room = room
        # How to send past whoever watches over the sends of others, by name; None is the plain way.
        self.own_sends: Mapping[str, Callable[..., Coroutine[Any, Any, Any]]] | None = None
        # The handlers are put on and taken off past whoever watches over the handlers of others.
        self._register = room.register_byte_stream_handler
        self._unregister = room.unregister_byte_stream_handler
        self._loop = running_loop()
        self._topic = RoomTopic(self._loop.time())
        self._users = 0
        self._hosts: dict[int, tuple[Callable[[bytes, str], None], AuditCallback | None]] = {}
        self._listeners: dict[str, list[Receiver]] = {}
        self._peers: dict[str, str] = {}
        self._grants: dict[str, bool] = {}
        self._streams: dict[int, Any] = {}
        self._reads: set[asyncio.Task[None]] = set()
        # Whether streams are read to their end though nobody wants them: releases whose readers cannot be closed keep
        # what is not read, as much as the sender likes.
        self._reads_all = False
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._failed: dict[int, Exception] = {}
        self._news: set[asyncio.Future[None]] = set()
        # What sends is at work, and the task of it once it has had to wait.
        self._has_sender = False
        self._sender: asyncio.Task[None] | None = None
        self._is_sending = False
        self._addresses = Addresses([])
        self._given_up = ""
        self._timer: asyncio.TimerHandle | None = None
        self._is_draining = False
        self._names = itertools.count(1)
        self._events = {
            "participant_connected": self._on_participant,
            "participant_disconnected": self._on_left,
            "participant_permissions_changed": self._on_participant,
            "connection_state_changed": self._on_connection,
            "reconnected": self._on_connection,
            "disconnected": self._on_disconnected,
        }

    @staticmethod
    def of(room: Any) -> Exchange:
        """The exchange of a Room.

        Raises:
            SdkMissing, SdkTooOld, Unsupported: livekit is not installed, or lacks what this needs.
            InvalidArgument: It is no Room, or the Room is in use on another event loop.
        """
        check_room(room)
        exchange = _exchanges.get(id(room))
        if exchange is not None and exchange._loop is not running_loop():
            if exchange._users:
                raise InvalidArgument("this Room is in use on another event loop; use it there")
            exchange = None
        if exchange is None:
            exchange = _exchanges[id(room)] = Exchange(room)
        return exchange

    # ---- the agent's side ------------------------------------------------------------------------------------------

    def open_host(self, options: str, receive: Callable[[bytes, str], None], audit: AuditCallback | None) -> int:
        """Open a session host: requests that may pass go to `receive`, with their sender's identity. Gives a number."""
        self.enter()
        try:
            host = _ask(self._topic.open_host, options)
        except BaseException:
            self.leave()
            raise
        self._hosts[host] = (receive, audit)
        self._sync()
        return host

    def close_host(self, host: int) -> None:
        """Close a session host: what still waits for its answer is answered with an error."""
        _ask(self._topic.close_host, host)
        self._pump()
        del self._hosts[host]
        self.leave()

    def from_agent(self, host: int, message: bytes, destination: str | None = None) -> asyncio.Future[None]:
        """Send what a session host says to those who may have it.

        Gives a future for when the room has taken it; `IoError` if it does not. Messages are sent in the order of the
        calls, awaited or not.
        """
        if len(self._peers) != len(self.room.remote_participants):
            self._sync()
        return self._out(_ask(self._topic.from_agent, host, message, destination, self._loop.time()))

    def status(self, host: int) -> dict[str, int]:
        """What a session host has counted."""
        counts: dict[str, int] = json.loads(_ask(self._topic.status, host))
        return counts

    # ---- the controller's side -------------------------------------------------------------------------------------

    def listen(self, identity: str, listener: Receiver) -> None:
        """From now on pass what comes from the agent `identity` to `listener`."""
        self.enter()
        _ask(self._topic.listen, identity)
        self._listeners.setdefault(identity, []).append(listener)
        self._sync()

    def unlisten(self, identity: str, listener: Receiver) -> None:
        """Pass nothing any more to `listener`. Does nothing if it does not listen."""
        listeners = self._listeners.get(identity, [])
        if listener not in listeners:
            return
        listeners.remove(listener)
        if not listeners:
            del self._listeners[identity]
        _ask(self._topic.unlisten, identity)
        self._pump()
        self.leave()

    def send(self, identity: str, message: bytes) -> asyncio.Future[None]:
        """Send a message to the agent `identity`. Gives a future, as `from_agent` does."""
        self._announce(self.room.remote_participants.get(identity))
        return self._out(_ask(self._topic.send, message, identity, self._loop.time()))

    def news(self) -> asyncio.Future[None]:
        """Done once somebody comes, goes or is changed, or the connection is, from this call on."""
        waiter = self._loop.create_future()
        self._news.add(waiter)
        waiter.add_done_callback(self._news.discard)
        return waiter

    def attach(self, agent: str | None, timeout: float) -> Driver:
        """Open a native session with an agent in the Room, which is carried from the next `enter` on.

        Raises:
            PermissionDenied: We may not drive agents.
            InvalidArgument: The Room is not connected.
        """
        self._sync()
        options = {"agent": agent, "start_timeout": timeout, "local": self._local()}
        return _ask(self._topic.attach, json.dumps(options))

    async def find_agent(self, wanted: str | None, timeout: float) -> str:
        """The identity of the agent that is named, or of the only one; wait until it is in the room.

        The exchange must be entered.

        Raises:
            PermissionDenied: We may not drive agents.
            InvalidArgument: The Room is not connected, or there are several agents and none is named.
            SessionTimeout: The agent was not there in time.
        """
        deadline = self._loop.time() + timeout
        while True:
            self.check_local()
            news = self.news()
            found = _ask(self._topic.find_agent, self._room_name(), wanted)
            if found is not None:
                return found
            try:
                await asyncio.wait_for(news, deadline - self._loop.time())
            except asyncio.TimeoutError:
                _ask(self._topic.raise_no_agent, self._room_name(), wanted, timeout)

    def check_local(self) -> None:
        """Raise unless the Room is connected and its own participant may drive agents."""
        _ask(check_local, json.dumps(self._local()))

    def _local(self) -> dict[str, Any]:
        if not self.room.isconnected():
            return {"is_connected": False, "room": "", "identity": "", "can_manage_agent_session": False}
        local = self.room.local_participant
        return {
            "is_connected": True,
            "room": self._room_name(),
            "identity": local.identity,
            "can_manage_agent_session": bool(local.permissions.can_manage_agent_session),
        }

    def _room_name(self) -> str:
        return str(getattr(self.room, "name", "") or "")

    # ---- the Room --------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Somebody uses the Room; with the first comes the handler of the topic.

        Raises:
            InvalidArgument: Somebody else handles the topic already.
        """
        if not self._users:
            try:
                self._register(TOPIC, self._on_stream)
            except ValueError:
                raise InvalidArgument(
                    f"something else handles the topic {TOPIC} of this Room already, most likely the session host of "
                    "the agent's SDK: call greenroom.gate(room) before `session.start`, or start the session with "
                    "`session_host=False`"
                ) from None
            for event, handler in self._events.items():
                self.room.on(event, handler)
            self._users = 1
            self._sync()
        else:
            self._users += 1

    def leave(self) -> None:
        """Somebody uses the Room no more; with the last goes the handler of the topic."""
        self._users -= 1
        if self._users:
            return
        self._unregister(TOPIC)
        for event, handler in self._events.items():
            self.room.off(event, handler)
        self._cut_streams()
        self._pump()

    def carry(self) -> None:
        """Send what sessions have to say."""
        self._pump()

    def resync(self) -> None:
        """Learn anew who is in the room."""
        self._sync()

    def _sync(self) -> None:
        present = list(self.room.remote_participants.values()) if self.room.isconnected() else []
        for sid in self._peers.keys() - {participant.sid for participant in present}:
            self._remove(sid)
        for participant in present:
            self._announce(participant)
        self._changed()

    def _announce(self, participant: Any) -> None:
        if participant is None or not participant.sid:
            return
        # Unset and anything that is not plainly true is no grant.
        grant = getattr(participant.permissions, "can_manage_agent_session", None)
        self._peers[participant.sid] = participant.identity
        self._grants[participant.sid] = grant is True
        _ask(
            self._topic.set_participant,
            participant.sid,
            participant.identity,
            grant is True,
            is_agent_kind(participant),
            publishes_on_behalf(participant),
            self._loop.time(),
        )

    def _reread_grants(self) -> None:
        """Learn of grants that were given or taken away without an event."""
        for participant in list(self.room.remote_participants.values()):
            grant = getattr(participant.permissions, "can_manage_agent_session", None)
            if participant.sid and self._grants.get(participant.sid) is not (grant is True):
                self._announce(participant)

    def _remove(self, sid: str) -> None:
        identity = self._peers.pop(sid, None)
        self._grants.pop(sid, None)
        if identity is None:
            return
        _ask(self._topic.remove_participant, sid, self._loop.time())
        self._topic.check_agents(is_connected(self.room))
        if is_connected(self.room):
            self._end(identity, "agent_left", f"the agent {identity!r} left the room")
        else:
            # A Room that connects anew takes everybody for gone.
            self._end(identity, "room_disconnected", "the connection to the room was lost")

    def _end(self, identity: str, reason: CloseReason, message: str) -> None:
        for listener in list(self._listeners.get(identity, [])):
            _guarded(listener.ended, reason, message)

    def _on_participant(self, participant: Any) -> None:
        # Events come for the local participant too.
        if self.room.remote_participants.get(participant.identity) is participant:
            self._announce(participant)
            self._changed()

    def _on_left(self, participant: Any) -> None:
        self._remove(participant.sid)
        self._changed()

    def _on_connection(self) -> None:
        self._sync()

    def _on_disconnected(self) -> None:
        self._cut_streams()
        self._sync()
        for identity in list(self._listeners):
            self._end(identity, "room_disconnected", "the room was disconnected")
        self._topic.check_agents(False)
        self._give_up("the room was disconnected")

    def _changed(self) -> None:
        if is_connected(self.room):
            self._topic.check_agents(True)
        self._pump()
        for waiter in self._news:
            if not waiter.done():
                waiter.set_result(None)

    # ---- in --------------------------------------------------------------------------------------------------------

    def _on_stream(self, reader: Any, identity: str) -> None:
        claim = (reader.info.attributes or {}).get(_CLAIM, "")
        self._announce(self.room.remote_participants.get(identity))
        stream = _ask(self._topic.begin, identity, claim, reader.info.size or None, self._loop.time())
        self._streams[stream] = reader
        # At once: a stream that is not wanted is not read at all, if it can be closed.
        self._pump()
        self._reads_all = not hasattr(reader, "close")
        if stream in self._streams or self._reads_all:
            task = self._loop.create_task(self._read(stream, reader))
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)

    async def _read(self, stream: int, reader: Any) -> None:
        try:
            async for chunk in reader:
                if stream not in self._streams:
                    if self._reads_all:
                        continue
                    break
                if not _ask(self._topic.chunk, stream, chunk, self._loop.time()):
                    self._cut(stream)
                self._pump()
        except Exception as error:
            logger.debug("a stream of the topic %s broke off: %s", TOPIC, error)
            finish = self._topic.abort
        else:
            finish = self._topic.end
        if self._streams.pop(stream, None) is not None:
            if not tells_of_permissions():
                self._reread_grants()
            _ask(finish, stream, self._loop.time())
        self._pump()

    def _cut(self, stream: int) -> None:
        """Stop reading a stream."""
        reader = self._streams.pop(stream, None)
        if hasattr(reader, "close"):
            reader.close()

    def _cut_streams(self) -> None:
        for stream in list(self._streams):
            _ask(self._topic.abort, stream, self._loop.time())
            self._cut(stream)
        if self._reads_all:
            # Nothing else ends them.
            for task in self._reads:
                task.cancel()

    def _pump(self) -> None:
        """Hand on whatever the last step has caused."""
        if self._is_draining:
            # Whoever is draining comes to it, in order.
            return
        self._is_draining = True
        try:
            while (result := self._topic.poll()) is not None:
                self._take(*result)
        finally:
            self._is_draining = False
        if not self._has_sender and self._topic.has_outgoing(self._loop.time()):
            self._has_sender = True
            # At once: in a round of the loop the SDK's native threads would go to sleep and have to be woken.
            task = start(self._loop, self._send_all())
            if task is not None:
                self._sender = task
        self._arm()

    def _take(self, kind: str, *what: Any) -> None:
        if kind == "host":
            host, message, sender = what
            _guarded(self._hosts[host][0], message, sender)
        elif kind == "agent":
            identity, message = what
            for listener in list(self._listeners.get(identity, [])):
                _guarded(listener.receive, message)
        elif kind == "skipped":
            identity, announced, head = what
            for listener in list(self._listeners.get(identity, [])):
                _guarded(listener.receive_skipped, announced, head)
        elif kind == "cut":
            self._cut(*what)
        elif kind == "audit":
            self._audit(*what)

    def _audit(self, text: str) -> None:
        # A quote within a value is escaped.
        audit_logger.log(logging.INFO if '"decision":"allow"' in text else logging.WARNING, "%s", text)
        for _, audit in list(self._hosts.values()):
            if audit is not None:
                _guarded(audit, json.loads(text))

    def _arm(self) -> None:
        """Be woken in time. A timer that is too early stays, as most of what has a deadline is done long before."""
        at = self._topic.poll_timeout()
        if self._timer is not None:
            if self._users and (at is None or self._timer.when() <= at):
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = self._loop.call_at(at, weak(self._due))

    def _due(self) -> None:
        self._timer = None
        _ask(self._topic.handle_timeout, self._loop.time())
        self._pump()

    # ---- out -------------------------------------------------------------------------------------------------------

    def _out(self, ticket: int) -> asyncio.Future[None]:
        waiter = self._waiting[ticket] = self._loop.create_future()
        self._pump()
        return waiter

    async def _send_all(self) -> None:
        """Send what there is to send, one after the other: so the order of messages is kept."""
        try:
            while (step := self._next_send()) is not None:
                # What was held back may go in when something else goes out.
                self._pump()
                if step[0] == "done":
                    self._done(step[1])
                    continue
                _, ticket, to, message = step
                try:
                    await self._send_to(to, message)
                except IoError as error:
                    logger.debug("%s", error)
                    if ticket and not self._topic.send_failed(ticket, str(error)):
                        self._failed[ticket] = error
        finally:
            self._has_sender = False
            self._sender = None
        self._pump()

    def _next_send(self) -> tuple[Any, ...] | None:
        """What is to be sent next. Who may have it is decided now."""
        if not tells_of_permissions():
            self._reread_grants()
        return self._topic.poll_send(self._loop.time())

    async def _send_to(self, to: list[tuple[str, str]], message: bytes) -> None:
        addresses = self._addresses_of(to)
        if not addresses.recipients:
            # Never without destinations: that is to everybody.
            return
        deadline = self._loop.call_later(_SEND_SECONDS, self._give_up, _TOO_SLOW)
        self._is_sending = True
        try:
            await self._transmit(message, addresses)
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            raise IoError(f"a message could not be sent into the room: {self._given_up}") from None
        except Exception as error:
            raise IoError(f"a message could not be sent into the room: {error}") from error
        finally:
            deadline.cancel()
            self._is_sending = False
            self._given_up = ""

    def _give_up(self, why: str) -> None:
        """Let the message fail that is being sent."""
        if self._sender is not None and self._is_sending and not self._given_up:
            self._given_up = why
            self._sender.cancel()

    async def _transmit(self, message: bytes, addresses: Addresses) -> None:
        local = self.room.local_participant
        options: dict[str, Any] = {
            "topic": TOPIC,
            "name": f"greenroom-{next(self._names)}",
            "destination_identities": addresses.identities,
            "attributes": {_CLAIM: local.identity} if local.permissions.hidden else None,
        }
        own = self.own_sends
        send_bytes = getattr(local, "send_bytes", None) if own is None else own.get("send_bytes")
        is_one_packet = send_bytes is not None and addresses.take_as_a_packet(message)
        if not is_one_packet and await send_stream(local, message, **options):
            return
        if send_bytes is not None:
            await send_bytes(message, **options)
        else:
            stream_bytes = local.stream_bytes if own is None else own["stream_bytes"]
            writer = await stream_bytes(**options, total_size=len(message))
            await writer.write(message)
            await writer.aclose()

    def _addresses_of(self, to: list[tuple[str, str]]) -> Addresses:
        """Those of the recipients who are in the room as they were."""
        present = self.room.remote_participants if self.room.isconnected() else {}
        # Who is not announced has no sid, and who has rejoined has another.
        there = [one for one in to if (present[one[0]].sid if one[0] in present else "") == one[1]]
        if len(there) < len(to):
            return Addresses(there)
        # The switchboard gives the same list as long as it holds the same.
        if self._addresses.recipients is not to:
            self._addresses = Addresses(to)
        return self._addresses

    def _done(self, ticket: int) -> None:
        waiter = self._waiting.pop(ticket, None)
        error = self._failed.pop(ticket, None)
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


class RoomCarrier:
    """Carries the messages of one session through an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._has_entered = False
        self.carry = exchange.carry

    async def start(self) -> None:
        self._exchange.enter()
        self._has_entered = True
        self.carry()

    async def close(self) -> None:
        if self._has_entered:
            self._has_entered = False
            self._exchange.carry()
            self._exchange.leave()


def attach(room: Any, agent: str | None, timeout: float) -> CarriedLink:
    """The link of a session with an agent in a Room."""
    exchange = Exchange.of(room)
    return CarriedLink(exchange.attach(agent, timeout), RoomCarrier(exchange))


# The Room itself keeps its exchange alive, through its handlers.
_exchanges: weakref.WeakValueDictionary[int, Exchange] = weakref.WeakValueDictionary()


def log_failure(sending: asyncio.Future[None]) -> None:
    """Nobody waits for a send: its failure is a line of the log."""
    if not sending.cancelled() and (error := sending.exception()) is not None:
        logger.warning("%s", error)


def _guarded(function: Callable[..., None], *arguments: Any) -> None:
    """Calls what is not ours: its failure is its own and stops nobody else."""
    try:
        function(*arguments)
    except Exception:
        logger.exception("an error in a callback of the room")
