"""Write python.json and frames.json: messages and frames made by LiveKit's own Python protobuf library.

    pip install -r requirements.txt
    python generate.py [OUT_DIR]

Running it again gives the same bytes. README.md says what a vector holds.
"""

import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from livekit.protocol.agent_pb import agent_session as pb

import raw
import samples

Vector = dict[str, Any]

HERE = Path(__file__).parent
MIB = 1 << 20


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    write(out / "python.json", vectors=list(vectors()), malformed=list(raw.malformed()))
    write(out / "frames.json", frames=list(frames()))


def vectors() -> Iterator[Vector]:
    envelope = cast("Descriptor", pb.AgentSessionMessage.DESCRIPTOR)
    yield vector("minimal", pb.AgentSessionMessage())
    for path, message in samples.minimal(envelope):
        yield vector(f"minimal/{path}", message)
    for path, message in samples.filled(envelope):
        assert isinstance(message, pb.AgentSessionMessage)
        if message.HasField("response"):
            message.response.ClearField("error")  # The responses that fail are in edges.json.
        yield vector(f"full/{path}", message)
    for path, message in samples.enums(envelope):
        yield vector(f"enum/{path}", message)
    for case in json.loads((HERE / "edges.json").read_text(encoding="utf-8")):
        yield vector(case["name"], ParseDict(case["json"], pb.AgentSessionMessage()))
    for name, data in raw.unknown():
        yield decoded(f"unknown/{name}", data, "spliced")
    for name, data in raw.odd():
        yield decoded(f"odd/{name}", data, "spliced")
    for name, data, expected in raw.by_hand():
        yield {"name": f"hand/{name}", "source": "hand", "hex": data.hex(), "json": expected}


def frames() -> Iterator[Vector]:
    """Frames as they are on a TCP connection: a big-endian length of four bytes, then one message."""
    hello = pb.AgentSessionMessage(request={"request_id": "say-1", "run_input": {"text": "hi"}}).SerializeToString()
    pong = pb.AgentSessionMessage(response={"request_id": "say-1", "pong": {}}).SerializeToString()
    sequences = {
        "nothing": [],
        "one": [hello],
        "zero_length": [b""],
        "two": [hello, pong],
        "zero_length_between": [hello, b"", pong],
        "a_thousand_zero_lengths": [b""] * 1000,
    }
    for name, payloads in sequences.items():
        stream = b"".join(framed(payload) for payload in payloads)
        yield {"name": f"frames/{name}", "hex": stream.hex(), "payloads": [payload.hex() for payload in payloads]}

    sizes = {
        "255": 255,
        "256": 256,
        "65535": 65_535,
        "65536": 65_536,
        "1_MiB_less_1": MIB - 1,
        "1_MiB": MIB,
        "1_MiB_and_1": MIB + 1,
        "16_MiB": 16 * MIB,
        "16_MiB_and_1": 16 * MIB + 1,
    }
    for name, size in sizes.items():
        text_bytes = run_input_text_of(size)
        payload = run_input_payload(text_bytes)
        assert len(payload) == size, (name, size, len(payload))
        frame = framed(payload)
        yield {
            "name": f"frames/size_{name}",
            "recipe": {"request_id": "say-1", "run_input_text": "x", "repeat": text_bytes},
            "payload_bytes": size,
            "head_hex": frame[:32].hex(),
            "sha256": hashlib.sha256(frame).hexdigest(),
        }


# ---- how they are made --------------------------------------------------------------------------


def vector(name: str, message: Message) -> Vector:
    """A vector whose bytes are the library's."""
    return decoded(name, message.SerializeToString(deterministic=True), "library")


def decoded(name: str, data: bytes, source: str) -> Vector:
    """A vector whose expected decoding is the library's."""
    message = pb.AgentSessionMessage.FromString(data)
    expected = MessageToDict(message, preserving_proto_field_name=True)
    return {"name": name, "source": source, "hex": data.hex(), "json": canonical(expected)}


def canonical(value: Any) -> Any:
    """The same JSON at every run and in both languages: keys in order, and 1.0 written 1 as JavaScript does."""
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [canonical(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def run_input_payload(text_bytes: int) -> bytes:
    message = pb.AgentSessionMessage(request={"request_id": "say-1", "run_input": {"text": "x" * text_bytes}})
    return message.SerializeToString()


def run_input_text_of(size: int) -> int:
    """The length of the text that makes the message `size` bytes long."""
    text_bytes = size
    while (excess := len(run_input_payload(text_bytes)) - size) > 0:
        text_bytes -= excess
    return text_bytes


def write(path: Path, **sections: list[Vector]) -> None:
    """One line for each vector, so that a change shows as the lines it touches."""
    versions = {name: importlib.metadata.version(name) for name in ("livekit-protocol", "protobuf")}
    parts = [f'"made_with": {json.dumps(versions)}']
    for section, entries in sections.items():
        names = [entry["name"] for entry in entries]
        assert len(names) == len(set(names)), f"two entries of one name in {section}"
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        parts.append(f'"{section}": [\n{lines}\n]')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
