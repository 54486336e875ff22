"""Vectors put together byte by byte, for what the library would never write: newer schemas, odd encodings, garbage."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from livekit.protocol.agent_pb import agent_session as pb

from samples import EPOCH_SECONDS

# A field number that no copy of the schema uses, at any level.
NEWER_FIELD = 2047

AMD_CATEGORIES = [
    "AMD_UNKNOWN",
    "AMD_HUMAN",
    "AMD_MACHINE_IVR",
    "AMD_MACHINE_VM",
    "AMD_MACHINE_UNAVAILABLE",
    "AMD_UNCERTAIN",
    "AMD_MACHINE_SCREENING",
    "AMD_WAIT",
]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    return tag(field, 0) + varint(value)


def delimited(field: int, payload: bytes) -> bytes:
    return tag(field, 2) + varint(len(payload)) + payload


REQUEST_ID = delimited(1, b"say-1")
RUN_INPUT = delimited(5, delimited(1, b"hi"))
CREATED_AT = delimited(1, number(1, EPOCH_SECONDS))


def unknown() -> Iterator[tuple[str, bytes]]:
    """Envelopes newer than the schema: fields at every level, and members of every oneof."""
    newer = {
        "varint": number(NEWER_FIELD, 2**64 - 1),
        "fixed64": tag(NEWER_FIELD, 1) + bytes(8),
        "bytes": delimited(NEWER_FIELD, b"\xff newer"),
        "group": tag(NEWER_FIELD, 3) + number(1, 7) + tag(NEWER_FIELD, 4),
        "fixed32": tag(NEWER_FIELD, 5) + bytes(4),
    }
    request = REQUEST_ID + RUN_INPUT
    response = pb.SessionResponse(request_id="say-1", pong={}).SerializeToString()
    event = pb.AgentSessionEvent(agent_state_changed={"new_state": "AS_LISTENING"}).SerializeToString()
    message = pb.ChatMessage(id="item_1", role="USER", content=[{"text": "hi"}]).SerializeToString()
    for kind, extra in newer.items():
        yield f"{kind}_in_envelope", delimited(4, request) + extra
        yield f"{kind}_in_request", delimited(4, request + extra)
        yield f"{kind}_in_run_input", delimited(4, REQUEST_ID + delimited(5, delimited(1, b"hi") + extra))
        yield f"{kind}_in_response", delimited(5, response + extra)
        yield f"{kind}_in_event", delimited(3, event + extra)
        yield f"{kind}_in_chat_message", item_added(delimited(1, message + extra))
    every = b"".join(newer.values())
    yield "before_known_fields", every + delimited(4, every + request)

    arm = delimited(NEWER_FIELD, delimited(1, b"newer"))
    history = [delimited(1, delimited(1, message)), delimited(1, arm), delimited(1, delimited(1, message))]
    yield "arm_of_envelope", arm
    yield "arm_of_request", delimited(4, REQUEST_ID + arm)
    yield "arm_of_request_3_unused", delimited(4, REQUEST_ID + delimited(3, b""))
    yield "arm_of_response", delimited(5, REQUEST_ID + arm)
    yield "arm_of_response_with_error", delimited(5, REQUEST_ID + delimited(2, b"no") + arm)
    yield "arm_of_event", delimited(3, CREATED_AT + arm)
    yield "arm_of_chat_item", item_added(arm)
    yield "arm_of_chat_item_in_history", delimited(5, REQUEST_ID + delimited(5, b"".join(history)))
    yield "arm_of_chat_content", item_added(delimited(1, delimited(3, arm)))
    yield "arm_of_tool_execution_updated", delimited(3, CREATED_AT + delimited(22, arm))
    yield "arm_of_model_usage", delimited(3, delimited(17, delimited(1, delimited(1, arm))))


def odd() -> Iterator[tuple[str, bytes]]:
    """Envelopes in encodings that are legal and that no library writes."""
    yield "fields_in_reverse_order", delimited(4, RUN_INPUT + REQUEST_ID)
    yield "last_string_wins", delimited(4, delimited(1, b"old") + REQUEST_ID + RUN_INPUT)
    yield "last_arm_wins", delimited(4, REQUEST_ID + RUN_INPUT + delimited(2, b""))
    yield "same_arm_is_merged", delimited(4, REQUEST_ID) + delimited(4, RUN_INPUT)
    yield "overlong_length", tag(4, 2) + bytes([0x80 | len(REQUEST_ID), 0x80, 0x00]) + REQUEST_ID
    yield "zero_written_out", delimited(3, delimited(10, number(1, 0) + number(2, 0)))


def malformed() -> Iterator[dict[str, Any]]:
    """Bytes that are no envelope, with what this library says of them."""
    cases = {
        "garbage": b"\xff\xff\xff",
        "truncated_tag": b"\x80",
        "truncated_varint": tag(NEWER_FIELD, 0) + b"\x80",
        "varint_of_eleven_bytes": tag(NEWER_FIELD, 0) + b"\x80" * 10 + b"\x01",
        "length_past_the_end": tag(4, 2) + varint(100) + b"x",
        "length_past_the_end_inside": delimited(4, tag(1, 2) + varint(100) + b"x"),
        "length_of_64_bits": tag(4, 2) + varint(2**64 - 1),
        "field_number_zero": number(0, 1),
        "wire_type_6": tag(NEWER_FIELD, 6),
        "group_never_ended": tag(NEWER_FIELD, 3) + number(1, 7),
        "group_never_begun": tag(NEWER_FIELD, 4),
        "text_that_is_not_utf8": delimited(4, delimited(1, b"\xff\xfe")),
        "text_with_a_surrogate": delimited(4, delimited(1, b"\xed\xa0\x80")),
        "known_field_of_another_wire_type": delimited(4, number(1, 1)),
        "nested_200_deep": delimited(3, delimited(21, delimited(1, nested_struct(200)))),
    }
    for name, data in cases.items():
        try:
            pb.AgentSessionMessage.FromString(data)
        except DecodeError:
            rejected = True
        else:
            rejected = False
        yield {"name": f"malformed/{name}", "hex": data.hex(), "rejected": rejected}


def by_hand() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Envelopes that only livekit/protocol v1.54.0 (Go) has names for, with the decoding to expect."""
    second, half_second = number(1, 1), number(2, 500_000_000)
    prediction = b"".join(
        [
            delimited(1, second + half_second),
            number(2, 6),
            delimited(3, b"asked who calls"),
            delimited(4, b"who is calling?"),
            delimited(5, half_second),
            number(6, 3),
            number(7, 1),
            delimited(8, second),
        ]
    )
    prediction_json = {
        "speech_duration": "1.500s",
        "category": "AMD_MACHINE_SCREENING",
        "reason": "asked who calls",
        "transcript": "who is calling?",
        "delay": "0.500s",
        "turn_id": 3,
        "stage": "AMD_HUMAN",
        "inference_duration": "1s",
    }
    yield "amd_prediction/full", *event(18, prediction, amd_prediction=prediction_json)
    yield "amd_prediction/wait", *event(18, number(2, 7), amd_prediction={"category": "AMD_WAIT"})

    completed = number(1, 3) + delimited(2, b"beep") + number(3, 1) + delimited(4, prediction)
    completed_json = {
        "category": "AMD_MACHINE_VM",
        "reason": "beep",
        "voicemail_message_played": True,
        "prediction": prediction_json,
    }
    yield "amd_completed/full", *event(24, completed, amd_completed=completed_json)
    yield "amd_completed/minimal", *event(24, b"", amd_completed={})
    for value, name in enumerate(AMD_CATEGORIES[1:], start=1):
        yield f"amd_completed/{name}", *event(24, number(1, value), amd_completed={"category": name})

    failed = number(1, 1) + delimited(2, "kaputt ☠".encode())
    yield "session_closed/full", *event(25, failed, session_closed={"reason": "CR_ERROR", "error": "kaputt ☠"})
    yield "session_closed/minimal", *event(25, b"", session_closed={})
    yield "session_closed/empty_error", *event(25, delimited(2, b""), session_closed={"error": ""})
    for reason in pb.CloseReason.DESCRIPTOR.values[1:]:
        yield (
            f"session_closed/{reason.name}",
            *event(25, number(1, reason.number), session_closed={"reason": reason.name}),
        )


def event(field: int, payload: bytes, **expected: Any) -> tuple[bytes, dict[str, Any]]:
    """The bytes of an event, and the decoding to expect of them."""
    data = delimited(3, CREATED_AT + delimited(field, payload))
    return data, {"event": {"created_at": "2026-11-21T00:00:00Z", **expected}}


def item_added(chat_item: bytes) -> bytes:
    """A conversation_item_added event with this chat item."""
    return delimited(3, delimited(12, delimited(1, chat_item)))


def nested_struct(depth: int) -> bytes:
    """A google.protobuf.Struct whose one value is a list in a list in a list."""
    value = number(1, 0)
    for _ in range(depth):
        value = delimited(6, delimited(1, value))
    return delimited(1, delimited(1, b"key") + delimited(2, value))
