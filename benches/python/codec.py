"""The Python SDK's own codec on the corpus, without a socket: `codec.py FOLDER MS`. Prints nanoseconds per message.

The parts are those of the Rust side (benches/rust/src/codec.rs); a frame is cut as the SDK's TCP transport does it.

- `FromString` parses in C and makes Python values only of fields that are read, so `conversation` reads them, and
  `conversation_unread` tells what it takes without.
- `binding` is ours, as Python reaches it: each message of the conversation given to a controller, the events read as
  JSON.
"""

import json
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from livekit.protocol.agent_pb import agent_session as pb

from greenroom._native import over_pipe

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


def read(stream: bytes) -> None:
    """Frames to messages, and what these tell to Python values."""
    for message in messages(stream):
        read_message(pb.AgentSessionMessage.FromString(message))


def encode(texts: list[str]) -> None:
    """Turns to frames."""
    for number, text in enumerate(texts):
        request = pb.SessionRequest(request_id=f"gr-{number}", run_input=pb.SessionRequest.RunInput(text=text))
        encoded = pb.AgentSessionMessage(request=request).SerializeToString()
        PREFIX.pack(len(encoded)) + encoded


# What is in the messages of the conversation, read field by field. A loop over `ListFields` takes twice as long.


def read_message(message: Any) -> object:
    if message.WhichOneof("message") == "event":
        event = message.event
        kind = event.WhichOneof("event")
        return timestamp(event.created_at), READERS[kind](getattr(event, kind))
    response = message.response
    kind = response.WhichOneof("response")
    return response.request_id, [read_item(item) for item in getattr(response, kind).items]


def read_state(changed: Any) -> object:
    return changed.old_state, changed.new_state


def read_usage(updated: Any) -> object:
    models = []
    for model in updated.usage.model_usage:
        llm = model.llm
        models.append((llm.provider, llm.model, llm.input_tokens, llm.output_tokens))
    return models


def read_update(updated: Any) -> object:
    if updated.WhichOneof("update") == "started":
        return read_call(updated.started.function_call)
    ended = updated.ended
    return ended.id, ended.call_id, ended.message, ended.status


def read_tools(executed: Any) -> object:
    calls = [read_call(call) for call in executed.function_calls]
    return calls, [read_output(output) for output in executed.function_call_outputs]


def read_item(item: Any) -> object:
    kind = item.WhichOneof("item")
    if kind == "message":
        message = item.message
        texts = [content.text for content in message.content]
        metrics = message.metrics
        measured = (
            timestamp(metrics.started_speaking_at) if metrics.HasField("started_speaking_at") else None,
            timestamp(metrics.stopped_speaking_at) if metrics.HasField("stopped_speaking_at") else None,
            metrics.llm_node_ttft if metrics.HasField("llm_node_ttft") else None,
            metrics.e2e_latency if metrics.HasField("e2e_latency") else None,
        )
        return message.id, message.role, texts, message.interrupted, measured, timestamp(message.created_at)
    return read_call(item.function_call) if kind == "function_call" else read_output(item.function_call_output)


def read_call(call: Any) -> object:
    return call.id, call.call_id, call.name, call.arguments, timestamp(call.created_at)


def read_output(output: Any) -> object:
    return output.id, output.call_id, output.name, output.output, output.is_error, timestamp(output.created_at)


def timestamp(at: Any) -> object:
    return at.seconds, at.nanos


READERS: dict[str, Callable[[Any], object]] = {
    "agent_state_changed": read_state,
    "conversation_item_added": lambda added: read_item(added.item),
    "session_usage_updated": read_usage,
    "tool_execution_updated": read_update,
    "function_tools_executed": read_tools,
}


def through_binding(received: bytes) -> None:
    """What our package does with the conversation."""
    driver, pipe = over_pipe('{"start_timeout": 60, "text_mode": true, "sdk_version": null}')
    pipe.open()
    for message in messages(received):
        pipe.receive(message)
    driver.drain()
    driver.read_events(0, 1024)
    driver.close(0)


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
    in_conversation = in_received + len(texts)
    found = {
        "conversation": per_pass(lambda: (read(received), encode(texts)), total_s) / in_conversation,
        "conversation_unread": per_pass(lambda: (decode(received), encode(texts)), total_s) / in_conversation,
        "conversation_wire": per_pass(lambda: both_ways(received), total_s) / in_received,
        "vectors_wire": per_pass(lambda: both_ways(vectors), total_s) / in_vectors,
        "binding": per_pass(lambda: through_binding(received), total_s) / in_received,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) / 1000)
