"""Messages made from the library's descriptors: every field set, nothing set, every enum value.

A message that holds one of several things (a oneof) yields one sample for each of them; its path names the way there,
as in `event/conversation_item_added/item/agent_handoff`.
"""

from collections.abc import Iterator
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# 2026-11-21T00:00:00Z
EPOCH_SECONDS = 1_795_219_200

# Enum numbers that no copy of the schema uses.
NEWER_ENUM_VALUES = {"newer": 100, "negative": -1}


def filled(kind: Descriptor) -> Iterator[tuple[str, Message]]:
    """Messages of this kind with every field set, one for each thing that it may hold."""
    base = GetMessageClass(kind)()
    for field in kind.fields:
        if not is_choice(field):
            fill(base, field)
    choices = [field for field in kind.fields if is_choice(field)]
    if not choices:
        yield "", base
    for choice in choices:
        for path, value in values(choice):
            message = GetMessageClass(kind)()
            message.CopyFrom(base)
            put(message, choice, value)
            yield "/".join(filter(None, [choice.name, path])), message


def minimal(kind: Descriptor) -> Iterator[tuple[str, Message]]:
    """Messages of this kind with nothing set but the thing that they hold."""
    for field in kind.fields:
        if not is_choice(field) or not is_own(field):
            continue
        message = GetMessageClass(kind)()
        getattr(message, field.name).SetInParent()
        yield field.name, message
        for path, inner in minimal(kind_of(field)):
            message = GetMessageClass(kind)()
            put(message, field, inner)
            yield f"{field.name}/{path}", message


def enums(kind: Descriptor) -> Iterator[tuple[str, Message]]:
    """Messages of this kind with one enum field set, for each such field below it and each of its values."""
    for field in kind.fields:
        if field.enum_type is not None:
            numbers = {value.name: value.number for value in field.enum_type.values}
            for name, number in (numbers | NEWER_ENUM_VALUES).items():
                message = GetMessageClass(kind)()
                setattr(message, field.name, number)
                yield f"{field.name}/{name}", message
        # Chat items are walked once, in the event that carries one of them.
        elif is_own(field) and not is_list_of_items(field):
            for path, inner in enums(kind_of(field)):
                message = GetMessageClass(kind)()
                put(message, field, [inner] if field.is_repeated else inner)
                yield f"{field.name}/{path}", message


def fill(message: Message, field: FieldDescriptor) -> None:
    """Set a field to a value that tells it from its neighbours."""
    if is_map(field):
        getattr(message, field.name).update({f"{field.name}_a": "1", f"{field.name}_b": "2"})
    elif field.is_repeated and field.message_type is None:
        put(message, field, [f"{field.name}_a", f"{field.name}_b"])
    elif field.is_repeated:
        put(message, field, [value for _, value in values(field)])
    else:
        put(message, field, next(values(field))[1])


def values(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    """The values to set a field to, or to list in it. Fractions are exact in 32 bits."""
    if field.enum_type is not None:
        yield "", field.enum_type.values[-1].number
        return
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE if is_own(field):
            yield from filled(kind_of(field))
        case FieldDescriptor.TYPE_MESSAGE:
            yield "", well_known(field)
        case FieldDescriptor.TYPE_STRING:
            yield "", f"{field.name} ✓"
        case FieldDescriptor.TYPE_BYTES:
            yield "", b"\x00\x80\xff\x7f"
        case FieldDescriptor.TYPE_BOOL:
            yield "", True
        case FieldDescriptor.TYPE_FLOAT | FieldDescriptor.TYPE_DOUBLE:
            yield "", field.number + 0.125
        case _:
            yield "", 1000 + field.number


def well_known(field: FieldDescriptor) -> Message:
    """A value for the types of Google's own schema."""
    message: Any = GetMessageClass(kind_of(field))()
    match kind_of(field).full_name:
        case "google.protobuf.Timestamp":
            message.seconds, message.nanos = EPOCH_SECONDS + field.number, 123_456_789
        case "google.protobuf.Duration":
            message.seconds, message.nanos = field.number, 250_000_000
        case "google.protobuf.Struct":
            message.update({"key": "value"})
        case name:
            raise NotImplementedError(f"{field.full_name} is a {name}: teach samples.py a value for it")
    return cast("Message", message)


def put(message: Message, field: FieldDescriptor, value: Any) -> None:
    """Set a field to a value, or to a list of them."""
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def is_choice(field: FieldDescriptor) -> bool:
    """Whether the field is one of several, or its single value is (the item of conversation_item_added)."""
    if is_oneof_member(field):
        return True
    return is_own(field) and not field.is_repeated and any(is_oneof_member(inner) for inner in kind_of(field).fields)


def is_oneof_member(field: FieldDescriptor) -> bool:
    """Whether the field is a member of a oneof; an `optional` field is not, though it is encoded as one."""
    oneof = field.containing_oneof
    return oneof is not None and not (len(oneof.fields) == 1 and oneof.name == f"_{field.name}")


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_own(field: FieldDescriptor) -> bool:
    """Whether the field holds messages of LiveKit's schema: ones to look into."""
    return field.message_type is not None and not is_map(field) and kind_of(field).full_name.startswith("livekit.")


def is_list_of_items(field: FieldDescriptor) -> bool:
    return field.is_repeated and kind_of(field).full_name == "livekit.agent.ChatContext.ChatItem"


def kind_of(field: FieldDescriptor) -> Descriptor:
    """The type of a field that holds messages."""
    assert field.message_type is not None, field.full_name
    return field.message_type
