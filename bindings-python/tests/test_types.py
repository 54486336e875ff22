"""From the JSON of the core to typed objects."""

import dataclasses
import json
import typing
from pathlib import Path

import pytest

import greenroom
from greenroom import _json

SCHEMA = json.loads((Path(__file__).parents[2] / "tests" / "schema" / "session.json").read_text())["$defs"]

BASE = {"seq": 7, "time": "2026-11-21T04:38:33.965163Z"}


def event(**fields):
    return _json.event(json.dumps(BASE | fields))


def test_an_event_is_of_the_class_of_its_type():
    for cls in typing.get_args(greenroom.Event):
        tag = next(field.default for field in dataclasses.fields(cls) if field.name == "type")
        (literal,) = typing.get_args(typing.get_type_hints(cls)["type"])
        assert tag == literal
        assert _json._classes(greenroom.Event)[tag] is cls


def test_an_event_has_its_fields_and_the_common_ones():
    state = event(type="state", who="agent", **{"from": "listening", "to": "thinking"}, late=True)
    assert state == greenroom.StateEvent(**BASE, who="agent", from_="listening", to="thinking", late=True)
    tool = event(type="tool_call", call_id="c", name="boom", arguments="{}", output="no", is_error=True)
    assert isinstance(tool, greenroom.ToolCall)
    assert (tool.seq, tool.name, tool.is_error, tool.earlier) == (7, "boom", True, False)
    usage = event(type="usage", models=[{"kind": "llm", "provider": "p", "model": "m", "input_tokens": 3}])
    assert usage.models == (greenroom.ModelUsage(kind="llm", provider="p", model="m", input_tokens=3),)
    update = event(type="tool_update", update="started", call={"call_id": "c", "name": "n", "arguments": "{}"})
    assert update.call == greenroom.ToolCall(call_id="c", name="n", arguments="{}")
    done = event(
        type="amd_completed",
        category="human",
        reason="",
        voicemail_message_played=False,
        prediction={"category": "human", "reason": "r", "transcript": "t"},
    )
    assert done.prediction == greenroom.AmdPrediction(category="human", reason="r", transcript="t")
    assert event(type="debug", payload={"a": [1]}).payload == {"a": [1]}


def test_events_can_be_matched():
    match event(type="message", id="i", role="assistant", text="hi"):
        case greenroom.MessageEvent(role="assistant", text=text):
            assert text == "hi"
        case _:
            pytest.fail("no match")


def test_a_turn_has_seconds_events_and_tool_calls():
    turn = _json.build(
        greenroom.Turn,
        {
            "number": 1,
            "text": "hi",
            "events": [
                BASE | {"type": "tool_call", "call_id": "a", "name": "old", "arguments": "{}", "earlier": True},
                BASE | {"type": "tool_call", "call_id": "b", "name": "new", "arguments": "{}", "output": "1"},
                BASE | {"type": "message", "id": "i", "role": "assistant", "text": "hello"},
            ],
            "reply": "hello",
            "silent": False,
            "interrupted": False,
            "duration_ms": 1500.0,
            "reply_delay_ms": 250.0,
            "queued_ms": 0.0,
        },
    )
    assert (turn.duration, turn.reply_delay, turn.queued) == (1.5, 0.25, 0.0)
    assert turn.events[2] == greenroom.MessageEvent(**BASE, id="i", role="assistant", text="hello")
    assert [(call.name, call.output) for call in turn.tool_calls] == [("new", "1")]
    assert turn.error is None


def test_what_is_newer_than_this_version_does_not_break_it():
    assert event(type="error", message="m", brand_new=1) == greenroom.ErrorEvent(**BASE, message="m")
    unknown = event(type="brand_new", what_ever=1, raw="AAA=")
    assert isinstance(unknown, greenroom.UnknownEvent)
    assert "brand_new" in unknown.what
    assert (unknown.seq, unknown.raw) == (7, "AAA=")


def test_objects_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        event(type="log", text="t").text = "u"


def test_items_of_a_conversation():
    items = [
        {"type": "message", "id": "i", "role": "user", "text": "hi", "metrics": {"e2e_latency": 0.5}},
        {"type": "tool_call", "call_id": "c", "name": "n", "arguments": "{}", "is_error": False},
        {"type": "handoff", "id": "h", "to": "billing", "from": "barista"},
        {"type": "config", "id": "u", "tools_added": ["a"], "tools_removed": []},
    ]
    message, tool, handoff, config = map(_json.item, items)
    assert message.metrics.e2e_latency == 0.5
    assert tool == greenroom.ToolCall(call_id="c", name="n", arguments="{}")
    assert handoff == greenroom.Handoff(id="h", from_="barista", to="billing")
    assert config == greenroom.ConfigUpdate(id="u", tools_added=("a",))


# ---- the schema of all languages -------------------------------------------------------------------------------------


def is_the_commands(what):
    """Whether a property is one that only the command's documents have."""
    return isinstance(what, dict) and "only the command" in what.get("description", "")


def alternatives(schema):
    """What an object of the schema may be: for each alternative its properties, and which of them are required."""
    if "$ref" in schema:
        return alternatives(SCHEMA[schema["$ref"].removeprefix("#/$defs/")])
    properties = {name: what for name, what in schema.get("properties", {}).items() if not is_the_commands(what)}
    found = [(properties, set(schema.get("required", [])))]
    for part in schema.get("allOf", []):
        found = [(a | c, b | d) for a, b in found for c, d in alternatives(part)]
    if "oneOf" in schema:
        found = [(a | c, b | d) for a, b in found for part in schema["oneOf"] for c, d in alternatives(part)]
    return found


def by_constant(name, key):
    """The alternatives of a definition by the constant of one of their properties, those with the same one together."""
    groups = {}
    for properties, required in alternatives(SCHEMA[name]):
        known = groups.setdefault(properties[key]["const"], ({}, set(required)))
        known[0].update(properties)
        known[1].intersection_update(required)
    return groups


def together(name):
    """All alternatives of a definition as one."""
    properties, required = {}, None
    for more, needed in alternatives(SCHEMA[name]):
        properties |= more
        required = needed if required is None else required & needed
    return properties, required


def check(cls, properties, required):
    plan = {key: name for name, key, _ in _json._plan(cls)}
    assert set(plan) == set(properties), cls
    needed = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    assert needed <= {plan[key] for key in required}, cls


def test_every_event_of_the_schema_has_a_class_with_its_fields():
    events = by_constant("event", "type")
    classes = _json._classes(greenroom.Event)
    assert set(events) == set(classes)
    for tag, (properties, required) in events.items():
        check(classes[tag], properties, required)


def test_every_item_of_the_schema_has_a_class_with_its_fields():
    items = by_constant("item", "type")
    classes = _json._classes(greenroom.Item)
    assert set(items) == set(classes)
    for tag, (properties, required) in items.items():
        check(classes[tag], properties, required)


def test_every_answer_of_the_schema_has_a_class_with_its_fields():
    answers = by_constant("answer", "answer")
    classes = {
        "started": greenroom.Started,
        "turn": greenroom.Turn,
        "agent_info": greenroom.AgentInfo,
        "session_state": greenroom.SessionState,
        "rtc_stats": greenroom.RtcStats,
        "framework_info": greenroom.FrameworkInfo,
        "verdict": greenroom.Verdict,
    }
    assert set(answers) - set(classes) == {"done", "history", "usage"}
    for tag, cls in classes.items():
        properties, required = answers[tag]
        del properties["answer"]
        check(cls, properties, required - {"answer"})
    check(greenroom.ModelUsage, *together("model_usage"))
    check(greenroom.AmdPrediction, *together("amd_prediction"))


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("agent_state", greenroom.AgentState),
        ("user_state", greenroom.UserState),
        ("amd_category", greenroom.AmdCategory),
    ],
)
def test_names_of_states_are_those_of_the_schema(name, alias):
    assert list(typing.get_args(alias)) == SCHEMA[name]["anyOf"][0]["enum"]


def test_the_reasons_of_an_end_are_those_of_the_schema():
    reasons = by_constant("event", "type")["closed"][0]["reason"]
    assert set(typing.get_args(greenroom.CloseReason)) == set(reasons["enum"])
