"""The protocol alone, with a clock of our own and the messages of the SDK's own protobuf classes."""

import json

import pytest
from livekit.protocol.agent_pb import agent_session as pb

from greenroom._native import Controller, NativeError


class Link:
    """A controller, the messages that it has sent, and a clock that stands still."""

    def __init__(self, **options):
        self.now = 100.0
        self.controller = Controller(json.dumps(options), self.now)

    def sent(self):
        messages = []
        while (message := self.controller.poll_transmit()) is not None:
            messages.append(pb.AgentSessionMessage.FromString(message).request)
        return messages

    def submit(self, op, timeout=None, **arguments):
        return self.controller.submit(json.dumps({"op": op, **arguments}), timeout, self.now)

    def answer(self, request_id, **response):
        message = pb.AgentSessionMessage(response=pb.SessionResponse(request_id=request_id, **response))
        self.controller.receive(message.SerializeToString(), self.now)

    def answers(self):
        return {call: (ok, json.loads(text)) for call, ok, text in self.controller.drain()}

    def open(self):
        """Opens the link and answers all that a start asks."""
        response = pb.SessionResponse
        self.controller.open(self.now)
        for request in self.sent():
            kind = request.WhichOneof("request")
            answer = {
                "ping": {"pong": response.Pong()},
                "update_io": {"update_io": response.UpdateIOResponse()},
                "get_framework_info": {"get_framework_info": response.GetFrameworkInfoResponse(sdk="python")},
                "get_session_state": {
                    "get_session_state": response.GetSessionStateResponse(agent_state=pb.AS_LISTENING)
                },
                "get_chat_history": {"get_chat_history": response.GetChatHistoryResponse()},
            }[kind]
            self.answer(request.request_id, **answer)
        self.now = self.controller.poll_timeout()
        self.controller.handle_timeout(self.now)


def test_a_turn_goes_over_a_link_of_bytes():
    link = Link()
    start = link.submit("start")
    link.open()
    say = link.submit("say", text="hi")
    (request,) = link.sent()
    assert request.run_input.text == "hi"
    item = pb.ChatContext.ChatItem(
        message=pb.ChatMessage(id="i", role=pb.ASSISTANT, content=[pb.ChatMessage.ChatContent(text="hello")])
    )
    link.answer(request.request_id, run_input=pb.SessionResponse.RunInputResponse(items=[item]))
    answers = link.answers()
    assert answers[start][1]["answer"] == "started"
    ok, turn = answers[say]
    assert ok
    assert (turn["answer"], turn["reply"]) == ("turn", "hello")
    events, next_place = link.controller.read_events(0, 100)
    assert [json.loads(event)["type"] for event in events] == ["message"]
    assert next_place == link.controller.end_of_events()
    assert json.loads(link.controller.status())["turns"] == 1


def test_time_is_an_argument():
    link = Link()
    link.open()
    call = link.submit("ping", timeout=5.0)
    assert link.controller.poll_timeout() == pytest.approx(link.now + 5.0)
    link.controller.handle_timeout(link.now + 4.9)
    assert link.answers() == {}
    link.controller.handle_timeout(link.now + 5.1)
    ok, error = link.answers()[call]
    assert not ok
    assert error["code"] == "timeout"


def test_text_mode_can_be_left_out():
    link = Link(text_mode=False, fetch_history=False, id_prefix="mine")
    link.controller.open(link.now)
    sent = link.sent()
    assert {request.WhichOneof("request") for request in sent} == {"ping", "get_framework_info", "get_session_state"}
    assert all(request.request_id.startswith("mine-") for request in sent)


def test_the_link_s_end_fails_what_is_pending():
    link = Link()
    link.open()
    call = link.submit("ping")
    link.controller.closed("agent_left", "the agent left the room", link.now)
    assert link.answers()[call] == (False, {"code": "agent_gone", "message": "the agent left the room"})
    assert json.loads(link.controller.status())["state"] == "closed"
    assert json.loads(link.controller.read_events(0, 9)[0][-1])["reason"] == "agent_left"


def test_an_answer_that_was_skipped_is_an_error_of_its_call():
    link = Link()
    link.open()
    call = link.submit("history")
    (request,) = link.sent()
    item = pb.ChatContext.ChatItem(
        message=pb.ChatMessage(id="i", content=[pb.ChatMessage.ChatContent(text="x" * 9000)])
    )
    history = pb.SessionResponse.GetChatHistoryResponse(items=[item])
    message = pb.AgentSessionMessage(
        response=pb.SessionResponse(request_id=request.request_id, get_chat_history=history)
    ).SerializeToString()
    link.controller.receive_skipped(17 << 20, message[:4096], link.now)
    ok, error = link.answers()[call]
    assert (ok, error["code"]) == (False, "too_large")


def test_a_cancelled_call_is_answered():
    link = Link()
    link.open()
    call = link.submit("say", text="hi")
    link.controller.cancel(call, link.now)
    assert link.answers()[call][1]["code"] == "cancelled"


@pytest.mark.parametrize(
    "act",
    [
        lambda c: c.submit("no json", None, 1.0),
        lambda c: c.submit('{"op": "dance"}', None, 1.0),
        lambda c: c.submit('{"op": "ping"}', -1.0, 1.0),
        lambda c: c.submit('{"op": "ping"}', None, float("nan")),
        lambda c: c.closed("no such reason", "", 1.0),
        lambda c: Controller('{"no_such_option": 1}', 1.0),
    ],
)
def test_bad_arguments_are_errors_with_a_code(act):
    with pytest.raises(NativeError) as caught:
        act(Controller("{}", 1.0))
    assert json.loads(caught.value.args[0])["code"] == "invalid_argument"
