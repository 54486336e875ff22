"""The Python SDK's own codec on the corpus, without a socket: `codec.py FOLDER`. Prints nanoseconds for each message.

The parts are those of the Rust side (benches/rust/src/codec.rs); a frame is cut as the SDK's TCP transport does it.
`binding` is ours, as Python reaches it: each message of the conversation given to a controller, the events read as JSON.
"""

import json
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from greenroom._native import Controller
from livekit.protocol.agent_pb import agent_session as pb

PREFIX = struct.Struct(">I")
SAMPLE_S = 0.005


def messages(stream: bytes) -> Iterator[bytes]:
    """Cuts a stream of frames."""
    at = 0
    while at < len(stream):
        (length,) = PREFIX.unpack_from(stream, at)
        at += PREFIX.size
        yield stream[at : at + length]
        at += length


def decode(stream: bytes) -> None:
    """Frames to messages."""
    for message in messages(stream):
        pb.AgentSessionMessage.FromString(message)


def both_ways(stream: bytes) -> None:
    """Frames to messages to frames."""
    for message in messages(stream):
        encoded = pb.AgentSessionMessage.FromString(message).SerializeToString()
        PREFIX.pack(len(encoded)) + encoded


def converse(received: bytes, texts: list[str]) -> None:
    """What a controller does: frames to messages, turns to frames."""
    decode(received)
    for number, text in enumerate(texts):
        request = pb.SessionRequest(request_id=f"gr-{number}", run_input=pb.SessionRequest.RunInput(text=text))
        encoded = pb.AgentSessionMessage(request=request).SerializeToString()
        PREFIX.pack(len(encoded)) + encoded


def through_binding(received: bytes) -> None:
    """What our package does with the conversation."""
    controller = Controller("{}", 0.0)
    controller.open(0.0)
    for message in messages(received):
        controller.receive(message, 0.0)
    controller.drain()
    controller.read_events(0, 1024)


def per_pass(work: Callable[[], object], total_s: float) -> float:
    """The median processor time of one pass in nanoseconds, over samples of many passes."""
    samples: list[float] = []
    end = time.process_time() + total_s
    while time.process_time() < end or len(samples) < 5:
        passes, begun = 0, time.process_time()
        while time.process_time() - begun < SAMPLE_S:
            work()
            passes += 1
        samples.append((time.process_time() - begun) / passes * 1e9)
    return statistics.median(samples)


def main(folder: Path, total_s: float) -> None:
    """Measures each part."""
    received = (folder / "received.frames").read_bytes()
    vectors = (folder / "vectors.frames").read_bytes()
    texts: list[str] = json.loads((folder / "sent.json").read_text())
    in_received, in_vectors = len(list(messages(received))), len(list(messages(vectors)))
    found = {
        "conversation": per_pass(lambda: converse(received, texts), total_s) / (in_received + len(texts)),
        "conversation_wire": per_pass(lambda: both_ways(received), total_s) / in_received,
        "vectors": per_pass(lambda: decode(vectors), total_s) / in_vectors,
        "vectors_wire": per_pass(lambda: both_ways(vectors), total_s) / in_vectors,
        "binding": per_pass(lambda: through_binding(received), total_s) / in_received,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) / 1000)
