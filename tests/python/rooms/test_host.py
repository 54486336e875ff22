"""The agent's side: who gets in, who gets what, behind our host and behind a guarded SDK host alike."""

import asyncio

import pytest
from livekit.protocol.agent_pb import agent_session as pb

import greenroom

from .support.agents import GUARDS, Agent, Wire
from .support.venue import Venue, holds_grant, until

pytestmark = pytest.mark.parametrize("guard", GUARDS)


async def test_a_holder_of_the_grant_drives_the_agent(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    response = await boss.ask("r1", "run_input", text="weather")
    assert not response.error
    assert [item.WhichOneof("item") for item in response.run_input.items] == [
        "function_call",
        "function_call_output",
        "message",
    ]
    assert {"agent_state_changed", "conversation_item_added", "function_tools_executed"} <= set(boss.events)
    # Events come before the response that they led to.
    kinds = ["event" if message.HasField("event") else "response" for _, message in boss.got]
    assert kinds.index("response") > kinds.index("event")
    assert {sender for sender, _ in boss.got} == {"agent"}
    assert agent.decisions("boss") == ["allow"]
    assert agent.counted("answered") == 1


@pytest.mark.parametrize("grant", [None, False])
async def test_without_the_grant_nothing_comes_but_the_denial(venue: Venue, agent: Agent, grant: bool | None) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    guest = Wire(await venue.connect("guest", grant=grant))
    await venue.gather(agent.room, guest.room)
    for kind in ("ping", "get_chat_history", "run_input"):
        response = await guest.ask(kind, kind)
        assert (response.error, response.WhichOneof("response")) == ("permission_denied", None)
    # What the agent does meanwhile is no business of the guest's.
    await boss.ask("r1", "run_input", text="hi")
    await guest.ask("last", "ping")
    assert len(guest.got) == 4
    assert agent.decisions("guest") == ["deny_no_grant"]
    assert [item.type for item in agent.session.history.items if getattr(item, "role", "") == "user"] == ["message"]


async def test_nobody_in_the_room_gets_what_nobody_may_have(venue: Venue, agent: Agent) -> None:
    guest = Wire(await venue.connect("guest"))
    await venue.gather(agent.room, guest.room)
    await agent.session.run(user_input="hi")
    # All that was sent before has come when this has.
    await guest.ask("last", "ping")
    assert [message.response.error for _, message in guest.got] == ["permission_denied"]


async def test_a_response_goes_to_its_requester_and_an_event_to_all_who_observe(venue: Venue, agent: Agent) -> None:
    wires = [Wire(await venue.connect(name, grant=True)) for name in ("one", "two", "three")]
    guest = Wire(await venue.connect("guest"))
    await venue.gather(agent.room, guest.room, *(wire.room for wire in wires))
    await wires[0].ask("r1", "run_input", text="hi")
    for number, wire in enumerate(wires):
        await wire.ask(f"last{number}", "ping")
    assert [set(wire.responses) for wire in wires] == [{"r1", "last0"}, {"last1"}, {"last2"}]
    assert wires[0].events == wires[1].events == wires[2].events
    assert wires[0].events.count("conversation_item_added") == 2
    assert guest.got == []


async def test_two_controllers_with_the_same_ids_never_mix(venue: Venue, agent: Agent) -> None:
    one, two = [Wire(await venue.connect(name, grant=True)) for name in ("one", "two")]
    await venue.gather(agent.room, one.room, two.room)
    first = asyncio.create_task(one.ask("say-1", "run_input", text="hold one"))
    await until("the first runs", lambda: agent.llm.held == ["hold one"])
    info = await two.ask("say-1", "get_agent_info")
    assert info.get_agent_info.instructions == "You are the barista of a coffee shop."
    assert "say-1" not in one.responses
    agent.llm.release.set()
    response = await first
    assert response.run_input.items[0].message.content[0].text == "released: hold one"
    assert two.responses["say-1"].WhichOneof("response") == "get_agent_info"


async def test_a_grant_revoked_while_the_agent_answers_turns_the_answer_into_the_denial(
    venue: Venue, agent: Agent
) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await boss.request("r1", "run_input", text="hold the secret")
    await until("it runs", lambda: bool(agent.llm.held))
    # What was sent before has come when this has.
    await boss.ask("p", "ping")
    await venue.set_grant("boss", False)
    await until("the agent knows", lambda: not holds_grant(agent.room, "boss"))
    seen = len(boss.events)
    agent.llm.release.set()
    response = await boss.response("r1")
    assert (response.error, response.WhichOneof("response")) == ("permission_denied", None)
    assert len(boss.events) == seen
    assert (await boss.ask("r2", "ping")).error == "permission_denied"


async def test_a_grant_given_late_holds_from_then_on(venue: Venue, agent: Agent) -> None:
    late = Wire(await venue.connect("late"))
    await venue.gather(agent.room, late.room)
    assert (await late.ask("r1", "ping")).error == "permission_denied"
    await venue.set_grant("late", True)
    await until("the agent knows", lambda: holds_grant(agent.room, "late"))
    assert (await late.ask("r2", "ping")).WhichOneof("response") == "pong"
    await agent.session.run(user_input="hi")
    await late.ask("r3", "ping")
    assert "conversation_item_added" in late.events


async def test_who_rejoins_under_the_same_identity_inherits_nothing(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await boss.request("r1", "run_input", text="hold the secret")
    await until("it runs", lambda: bool(agent.llm.held))
    # What is under way when the server throws the former out reaches the latter, who has the same address.
    await until("all that happened is told", lambda: "agent_state_changed" in boss.events)
    # The server tells the agent of the latter in the same moment.
    heir = Wire(await venue.connect("boss"))
    await venue.gather(agent.room, heir.room)
    agent.llm.release.set()
    await until("the turn is over", lambda: agent.session.agent_state == "listening")
    assert (await heir.ask("r2", "ping")).error == "permission_denied"
    assert [set(heir.responses), heir.events] == [{"r2"}, []]


async def test_an_heir_with_the_grant_gets_events_but_not_the_answer(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await boss.request("r1", "run_input", text="hold the secret")
    await until("it runs", lambda: bool(agent.llm.held))
    heir = Wire(await venue.connect("boss", grant=True))
    await venue.gather(agent.room, heir.room)
    agent.llm.release.set()
    await until("the answer's event comes", lambda: "conversation_item_added" in heir.events)
    await heir.ask("r2", "ping")
    assert set(heir.responses) == {"r2"}


async def test_one_who_is_not_announced_yet_is_held_and_then_answered(venue: Venue, agent: Agent) -> None:
    early = Wire(await venue.connect("early", grant=True, announce=False))
    guest = Wire(await venue.connect("guest", announce=False))
    await asyncio.gather(early.request("r1", "ping"), guest.request("r1", "ping"))
    assert "early" not in agent.room.remote_participants
    await asyncio.gather(venue.announce("early"), venue.announce("guest"))
    assert (await early.response("r1")).WhichOneof("response") == "pong"
    assert (await guest.response("r1")).error == "permission_denied"


async def test_a_request_that_nobody_knows_is_answered_with_an_error(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await boss.send(pb.AgentSessionMessage(request=pb.SessionRequest(request_id="empty")))
    # A request of the field 99, as of a newer protocol.
    await boss.send(b"\x22\x09\x0a\x04next\x9a\x06\x00")
    for request_id in ("empty", "next"):
        response = await boss.response(request_id)
        assert (response.error, response.WhichOneof("response")) == ("unsupported request", None)


async def test_a_request_that_fails_in_the_agent_is_answered_without_a_payload(
    venue: Venue, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    # An agent's history that cannot be told.
    monkeypatch.setattr(type(agent.session), "history", property(lambda _: 1 / 0))
    response = await boss.ask("r1", "get_chat_history")
    assert (response.error, response.WhichOneof("response")) == ("internal error", None)


async def test_text_turns_at_once_wait_for_each_other(venue: Venue, agent: Agent) -> None:
    one, two = [Wire(await venue.connect(name, grant=True)) for name in ("one", "two")]
    await one.request("r1", "run_input", text="hold one")
    await until("the first runs", lambda: agent.llm.held == ["hold one"])
    await two.request("r1", "run_input", text="and two")
    # What does not speak does not wait.
    assert (await two.ask("p", "ping")).WhichOneof("response") == "pong"
    agent.llm.release.set()
    texts = [(await wire.response("r1")).run_input.items[0].message.content[0].text for wire in (one, two)]
    assert texts == ["released: hold one", "echo: and two"]


@pytest.mark.parametrize("gate_options", [{"run_input": "refuse"}])
async def test_or_the_second_text_turn_is_refused(venue: Venue, agent: Agent) -> None:
    one, two = [Wire(await venue.connect(name, grant=True)) for name in ("one", "two")]
    await one.request("r1", "run_input", text="hold one")
    await until("the first runs", lambda: agent.llm.held == ["hold one"])
    response = await two.ask("r1", "run_input", text="and two")
    assert response.error.startswith("busy")
    assert response.WhichOneof("response") is None
    agent.llm.release.set()
    assert (await one.response("r1")).run_input.items[0].message.content[0].text == "released: hold one"
    assert (await two.ask("r2", "run_input", text="again")).run_input.items


@pytest.mark.parametrize(
    "gate_options",
    [{"policy": greenroom.Policy(by_identity={"watcher": ["observe"], "nobody": []}, default=["observe", "drive"])}],
)
async def test_scopes_narrow_what_a_holder_of_the_grant_may_do(venue: Venue, agent: Agent) -> None:
    watcher, driver, nobody = [Wire(await venue.connect(name, grant=True)) for name in ("watcher", "driver", "nobody")]
    await venue.gather(agent.room, watcher.room, driver.room, nobody.room)
    assert not (await watcher.ask("history", "get_chat_history")).error
    assert (await watcher.ask("say", "run_input", text="hi")).error == "permission_denied"
    assert not (await driver.ask("say", "run_input", text="hi")).error
    assert (await driver.ask("io", "update_io")).error == "permission_denied"
    assert (await nobody.ask("ping", "ping")).error == "permission_denied"
    await watcher.ask("last", "ping")
    await nobody.ask("last", "ping")
    assert "conversation_item_added" in watcher.events
    assert nobody.events == []


@pytest.mark.parametrize("gate_options", [{"policy": {"watcher": ["observe"]}}])
async def test_a_dict_of_identities_is_a_policy(venue: Venue, agent: Agent) -> None:
    watcher, other = [Wire(await venue.connect(name, grant=True)) for name in ("watcher", "other")]
    assert (await watcher.ask("io", "update_io")).error == "permission_denied"
    assert not (await other.ask("io", "update_io")).error


async def test_a_hidden_supervisor_is_denied(venue: Venue, agent: Agent) -> None:
    ghost = Wire(await venue.connect("ghost", grant=True, hidden=True))
    await ghost.request("r1", "ping")
    # The server does not tell who it was, so that it cannot be answered.
    await until("it is denied", lambda: agent.decisions("") == ["deny_unknown"])
    await agent.session.run(user_input="hi")
    assert (agent.counted("requests"), "ghost" in agent.room.remote_participants) == (0, False)
    with pytest.raises(greenroom.PermissionDenied):
        await greenroom.attach(await venue.connect("other ghost", grant=True, hidden=True), "agent")
    assert ghost.got == []


@pytest.mark.parametrize("gate_options", [{"policy": greenroom.Policy(hidden=["ghost"])}])
async def test_a_hidden_supervisor_gets_in_by_name(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("ghost", grant=True, hidden=True)
    async with greenroom.attach(room) as session:
        assert (await session.say("hi")).reply == "echo: hi"
    assert "ghost" not in agent.room.remote_participants
    # Whoever is not hidden has the name that the server gives it, whatever it says.
    liar = Wire(await venue.connect("liar"))
    await liar.request("r1", "ping", claim="ghost")
    assert (await liar.response("r1")).error == "permission_denied"


async def test_an_identity_may_hold_anything(venue: Venue, agent: Agent) -> None:
    name = 'bo"ss\n\'; \\ {"identity": "agent"} \N{CLOUD}'
    boss = Wire(await venue.connect(name, grant=True))
    assert (await boss.ask("r1", "ping")).WhichOneof("response") == "pong"
    assert agent.decisions(name) == ["allow"]


async def test_the_audit_log_has_a_line_for_each_decision(
    venue: Venue, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "greenroom.audit")
    boss = Wire(await venue.connect("boss", grant=True))
    guest = Wire(await venue.connect("guest"))
    await boss.ask("r1", "ping")
    await guest.ask("r1", "ping")
    lines = [record for record in caplog.records if record.name == "greenroom.audit"]
    assert {record.levelname for record in lines if '"identity":"boss"' in record.message} == {"INFO"}
    assert {record.levelname for record in lines if '"identity":"guest"' in record.message} == {"WARNING"}
    assert all(line["sid"] and line["time"].endswith("Z") for line in agent.audits)


async def test_a_long_history_arrives_whole(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    for _ in range(3):
        await agent.session.run(user_input="big")
    response = await boss.ask("r1", "get_chat_history")
    texts = [item.message.content[0].text for item in response.get_chat_history.items if item.HasField("message")]
    assert sum(len(text) for text in texts) > 1_200_000


async def test_what_waits_when_the_agent_s_session_closes_is_answered(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await boss.request("r1", "run_input", text="hold on")
    await boss.request("r2", "run_input", text="and wait")
    await until("one runs and one waits", lambda: bool(agent.llm.held) and agent.counted("waiting") == 2)
    await agent.session.aclose()
    for request_id in ("r1", "r2"):
        response = await boss.response(request_id)
        assert response.error or response.run_input.items == []
