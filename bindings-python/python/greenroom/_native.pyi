"""The native half of the package. What crosses is JSON text, numbers and bytes; times are seconds."""

from typing import Literal, final

__all__ = [
    "CaptureDriver",
    "Driver",
    "NativeError",
    "Pipe",
    "PlaybackDriver",
    "RoomDriver",
    "RoomTopic",
    "SpeechStream",
    "_panic",
    "check_local",
    "credentials",
    "devices",
    "error_codes",
    "is_virtual_device",
    "join",
    "noisy",
    "open",
    "over_pipe",
    "peek_id",
    "speech_from_pcm",
    "speech_from_wav",
    "start",
    "version",
    "write_wav",
]

class NativeError(Exception):
    """An error of the native half: its only argument is the JSON text of `{code, message, detail?}`."""

@final
class Driver:
    """A session. Nothing here blocks, except `wait_closed`."""

    def detach_fileno(self) -> int:
        """Give away the socket on which one byte comes whenever there is something to drain or to read. Once only."""

    def submit(self, operation: str, timeout: float | None, token: int) -> int:
        """Submit an operation, as JSON. Its answer comes under `token`. Gives the number of the call."""

    def cancel(self, call: int) -> None:
        """Give a call up, by its number; its answer becomes the error `cancelled`, if it has none yet."""

    def drain(self) -> list[tuple[int, bool, str]]:
        """Take the answers: token, whether it succeeded, and JSON of the answer or the error."""

    def read_events(self, start: int, most: int) -> tuple[list[str], int]:
        """Read events, as JSON, from place `start` on, and get the place to read on from. 0 is the beginning."""

    def end_of_events(self) -> int:
        """The place after the last event."""

    def status(self) -> str:
        """How the session stands, as JSON."""

    def close(self, token: int) -> None:
        """End the session; the answer under `token` says that its agent and its link are gone."""

    def end_session(self, token: int) -> None:
        """End the session itself, where closing only lets go of it; the answer under `token` says how that went."""

    def wait_closed(self, timeout: float) -> bool:
        """End the session and block until it is gone, for `timeout` seconds at most. For the interpreter's exit."""

@final
class RoomDriver:
    """A room that was joined natively. Nothing here blocks, except `wait_closed`."""

    def __new__(cls, options: str, token: int) -> RoomDriver:
        """Join a room; the answer under `token` says that data can be sent. `options` is JSON, see the native code."""

    def detach_fileno(self) -> int:
        """Give away the socket on which one byte comes whenever there is something to drain. Once only."""

    def submit(self, call: str, payload: bytes, token: int) -> None:
        """Submit a call, as JSON, and the bytes that it sends. Its answer comes under `token`."""

    def cancel(self, token: int) -> None:
        """Give a call up, the join too; its answer becomes the error `cancelled`, if it has none yet."""

    def drain(self) -> list[tuple[int, bool, str, bytes | None]]:
        """Take the answers: token, whether it succeeded, JSON of the answer or the error, and bytes."""

    def snapshot(self) -> str:
        """The room as it is now, as JSON; `null` before it is joined."""

    def open_events(self) -> int:
        """A reader of what happens: the first one from the join on, later ones from now on."""

    def receive(self, topic: str) -> int:
        """A reader of the streams of a topic that begin from now on."""

    def close_reader(self, reader: int) -> None:
        """Let go of a reader."""

    def close(self, token: int) -> None:
        """Leave the room; the answer under `token` says that nothing is left of it."""

    def wait_closed(self, timeout: float) -> bool:
        """Leave the room and block until nothing is left, for `timeout` seconds at most. For the interpreter's exit."""

@final
class CaptureDriver:
    """Recording. What is not there yet is None: a byte comes when to ask again. Only `wait_closed` blocks."""

    def __new__(cls, options: str, is_function: bool) -> CaptureDriver:
        """Begin to open a device; `options` is JSON, see the native code."""

    def detach_fileno(self) -> int:
        """Give away the socket on which one byte comes when it is time to ask again. Once only."""

    def about(self) -> str | None:
        """What it is, as JSON, once it is open: `{"device", "rate", "channels"}`."""

    def poll_frame(self) -> tuple[bytes | None, float, int] | None:
        """The next frame: its samples, None at the end; seconds since the opening; samples lost before it."""

    def poll_event(self) -> str | None:
        """The next event, as JSON; `null` after the last."""

    def recorded(self) -> str:
        """What it has done so far, as JSON, in samples of each channel: `{"samples", "lost", "dropped"}`."""

    def poll_wanted(self) -> int | None:
        """How many samples of each channel the function is to give; None while it is not to be called."""

    def give(self, data: bytes, is_float: bool) -> None:
        """What the function gave, none at the end."""

    def fail(self, why: str) -> None:
        """The function failed."""

    def age(self) -> float:
        """Seconds since its clock began, half a second before it was opened; its frames' times count from there."""

    def close(self) -> None:
        """Begin to close it."""

    def poll_closed(self) -> bool:
        """Whether it is closed."""

    def wait_closed(self, timeout: float) -> bool:
        """Close it and block until it is closed, for `timeout` seconds at most. For the interpreter's exit."""

@final
class PlaybackDriver:
    """Playing. What is not there yet is None: a byte comes when to ask again. Only `wait_closed` blocks."""

    def __new__(cls, options: str, is_function: bool) -> PlaybackDriver:
        """Begin to open a device; `options` is JSON, see the native code."""

    def detach_fileno(self) -> int:
        """Give away the socket on which one byte comes when it is time to ask again. Once only."""

    def about(self) -> str | None:
        """What it is, as JSON, once it is open: `{"device", "rate", "channels"}`."""

    def poll_write(self, data: bytes, start: int, is_float: bool) -> int | None:
        """Write samples of 16 bits or floats from byte `start` on; how many bytes there was room for."""

    def flush(self) -> None:
        """Have what was written played without waiting for more."""

    def poll_drained(self) -> bool:
        """Whether all that was written has been heard or dropped."""

    def clear(self) -> None:
        """Drop what has not reached the device."""

    def poll_played(self) -> bytes | None:
        """What the function is to take, samples of 16 bits; None while it is not to be called."""

    def taken(self) -> None:
        """The function took it."""

    def fail(self, why: str) -> None:
        """The function failed."""

    def position(self) -> str:
        """How far it has come, as JSON, in samples of each channel: `{"written", "heard", "waiting", "dropped"}`."""

    def poll_event(self) -> str | None:
        """The next event, as JSON; `null` after the last."""

    def close(self) -> None:
        """Begin to close it; what has not been heard is not."""

    def poll_closed(self) -> bool:
        """Whether it is closed."""

    def wait_closed(self, timeout: float) -> bool:
        """Close it and block until it is closed, for `timeout` seconds at most. For the interpreter's exit."""

@final
class Pipe:
    """The caller's end of a session whose messages it carries. Take them after each call, and on each wake."""

    def open(self) -> None:
        """The agent can be reached."""

    def receive(self, message: bytes) -> None:
        """Take one message from the agent."""

    def poll_transmit(self) -> bytes | None:
        """The next message for the agent."""

    def closed(self, reason: str, message: str) -> None:
        """The agent cannot be reached any more; `reason` is one of the event `closed`."""

@final
class RoomTopic:
    """All use of the topic of agent sessions in one Room. Every `now` is seconds on one monotonic clock."""

    def __new__(cls, now: float) -> RoomTopic:
        """A topic that is not used yet: every stream is cut."""

    def open_host(self, options: str) -> int:
        """An agent's session host uses the room; `options` is JSON, see the native code. Gives its number."""

    def close_host(self, host: int) -> None:
        """The agent's session host is gone: what waits for it is answered with an error."""

    def listen(self, agent: str) -> None:
        """A controller is addressed at this agent."""

    def unlisten(self, agent: str) -> None:
        """Stops what one call of `listen` started."""

    def set_participant(
        self,
        sid: str,
        identity: str,
        can_manage_agent_session: bool | None,
        is_agent_kind: bool,
        publishes_on_behalf: bool,
        now: float,
    ) -> None:
        """The room announces a participant, or changes of one."""

    def remove_participant(self, sid: str, now: float) -> None:
        """A participant left."""

    def check_agents(self, is_connected: bool) -> None:
        """End or restart sessions whose agent is not in the room any more."""

    def attach(self, options: str) -> Driver:
        """Open a session with an agent in the room; `options` is JSON, see the native code."""

    def find_agent(self, room: str, wanted: str | None) -> str | None:
        """The identity of the agent that is named, or of the only one; None while it is not there."""

    def raise_no_agent(self, room: str, wanted: str | None, within: float) -> None:
        """Raise the error for an agent that was not there within so many seconds."""

    def begin(self, identity: str, claim: str, announced: int | None, now: float) -> int:
        """A byte stream begins. A hidden sender has no identity and makes a claim. Gives the stream's number."""

    def chunk(self, stream: int, data: bytes, now: float) -> bool:
        """More of a stream. Whether to go on reading it."""

    def end(self, stream: int, now: float) -> None:
        """A stream is complete."""

    def abort(self, stream: int, now: float) -> None:
        """A stream was broken off."""

    def from_agent(self, host: int, message: bytes, destination: str | None, now: float) -> int:
        """An agent's session host sends a message, to `destination` alone if there is one. Gives a ticket."""

    def send(self, message: bytes, agent: str, now: float) -> int:
        """A controller sends a message to its agent. Gives a ticket."""

    def poll(
        self,
    ) -> (
        tuple[Literal["host"], int, bytes, str]
        | tuple[Literal["agent"], str, bytes]
        | tuple[Literal["skipped"], str, int, bytes]
        | tuple[Literal["cut"], int]
        | tuple[Literal["audit"], str]
        | None
    ):
        """What came in: (kind, host, message, sender), (…, identity, message), (…, identity, announced, head), …"""

    def has_outgoing(self, now: float) -> bool:
        """Whether `poll_send` has something to do."""

    def poll_send(
        self, now: float
    ) -> tuple[Literal["send"], int, list[tuple[str, str]], bytes] | tuple[Literal["done"], int] | None:
        """What to send next, decided now: (kind, ticket, [(identity, sid)], message), or that a ticket is done."""

    def send_failed(self, ticket: int, why: str) -> bool:
        """The message of a ticket could not be sent. Whether it was a session's, which ends then."""

    def poll_timeout(self) -> float | None:
        """When to call `handle_timeout`; None while nothing is awaited."""

    def handle_timeout(self, now: float) -> None:
        """Let pass what is due."""

    def status(self, host: int) -> str:
        """What a host has counted, as JSON."""

def check_local(local: str) -> None:
    """Raise unless agents can be driven by this local participant; `local` is JSON."""

def over_pipe(options: str) -> tuple[Driver, Pipe]:
    """Make a session over a pipe; `options` is JSON, see the native code."""

def start(options: str) -> Driver:
    """Start an agent, as JSON tells. Returns at once; the operation `start` waits until the session is ready."""

def is_virtual_device(name: str) -> bool:
    """Whether a device of this name would be a virtual one."""

def join(options: str) -> Driver:
    """Join a room and drive the session of an agent in it, as JSON tells. Returns at once, as `start` does."""

def credentials(request: str) -> str:
    """Make credentials for a room, JSON from JSON. It blocks while an env file is a named pipe."""

def devices() -> str:
    """The real devices, as JSON. It blocks while they are asked, for seconds where one does not answer."""

def open(name: str) -> Driver:  # noqa: A001
    """Reach the session that the command left running under `name`. It can block for seconds if its daemon is stuck."""

def peek_id(head: bytes) -> tuple[Literal["request", "response"], str] | None:
    """The kind and id of a message of which only the first bytes are known; None if they do not tell."""

def version() -> str:
    """The version of the native code, which is the version of the package."""

def error_codes() -> list[str]:
    """Every error code of the table."""

def _panic(message: str) -> None:
    """Panic, so that a test can see what becomes of a panic."""

def speech_from_wav(path: str, channel: int | None) -> tuple[bytes, list[tuple[str, str]]]:
    """The speech in a WAV file, of any rate and number of channels: signed 16-bit little-endian, 48 kHz, mono; and what
    is odd about it, a stable name and a text of each thing. Of several channels, `channel` or those that are heard."""

@final
class SpeechStream:
    """Speech of samples that come in parts, as they come."""

    def __new__(cls, rate: int, channels: int, channel: int | None) -> SpeechStream:
        """Of interleaved samples at `rate` Hz."""

    def take(self, samples: bytes) -> bytes:
        """Take 16-bit samples; the speech that can be made of them so far."""

    def notes(self) -> list[tuple[str, str]]:
        """What is odd about what has come so far."""

    def finish(self) -> bytes:
        """Nothing more comes: the rest."""

def speech_from_pcm(
    samples: bytes, rate: int, channels: int, is_float: bool, channel: int | None
) -> tuple[bytes, list[tuple[str, str]]]:
    """The same of interleaved samples, at `rate` Hz, signed 16-bit or floats; or of the content of a WAV file."""

def noisy(samples: bytes, noise: str, snr: float, seed: int) -> bytes:
    """Speech in noise, "white", "babble" or "impulses" of a seed, which is `snr` dB above it; both are at 48 kHz."""

def write_wav(path: str, samples: bytes) -> None:
    """Write speech into a WAV file."""
