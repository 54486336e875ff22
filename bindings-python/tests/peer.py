"""A bare scripted agent, run in the place of a Python interpreter: it holds no SDK, so that it can do what no SDK does.

It answers the launcher's question for the SDK's version, then connects and speaks the wire with the protobuf classes of
the released SDK. The variable `PEER` says how it behaves at the start: `normal`, `never` (does not connect), `mute`
(connects and says nothing), `crash` (ends at once), `greet` (speaks first). Later on the first word of a turn does.
"""

import os
import socket
import struct
import sys
import threading
import time

VERSION = "1.8.9"


def main() -> None:
    if "-c" in sys.argv and "--connect-addr" not in sys.argv:
        print(f"\ngreenroom-python=3.11.0\ngreenroom-sdk={VERSION}")
        return
    host, port = sys.argv[sys.argv.index("--connect-addr") + 1].rsplit(":", 1)
    mode = os.environ.get("PEER", "normal")
    if mode == "never":
        sleep()
    if mode == "crash":
        sys.exit("ValueError: crash on purpose")
    link = socket.create_connection((host, int(port)))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if mode == "mute":
        sleep()
    print("the peer is connected", flush=True)
    Peer(link).serve(greets=mode == "greet")


class Peer:
    """The agent's end of a link."""

    def __init__(self, link: socket.socket) -> None:
        from livekit.protocol.agent_pb import agent_session

        self.pb = agent_session
        self.link = link
        self.lock = threading.Lock()
        self.items = []

    def serve(self, *, greets: bool) -> None:
        if greets:
            self.speak("welcome")
        while True:
            (length,) = struct.unpack(">I", self.read(4))
            message = self.pb.AgentSessionMessage.FromString(self.read(length))
            if message.HasField("request"):
                request = message.request
                kind = request.WhichOneof("request")
                if kind == "run_input":
                    # As the SDKs do: requests are not answered one after the other.
                    threading.Thread(target=self.run, args=(request.request_id, request.run_input.text)).start()
                else:
                    self.answer(request.request_id, **self.fact(kind))

    def fact(self, kind: str) -> dict:
        response = self.pb.SessionResponse
        return {
            "ping": {"pong": response.Pong()},
            "get_chat_history": {"get_chat_history": response.GetChatHistoryResponse(items=self.items)},
            "get_framework_info": {
                "get_framework_info": response.GetFrameworkInfoResponse(sdk="peer", sdk_version="0")
            },
            "get_session_state": {
                "get_session_state": response.GetSessionStateResponse(agent_state=self.pb.AS_LISTENING, agent_id="peer")
            },
            "get_agent_info": {
                "get_agent_info": response.GetAgentInfoResponse(id="peer", instructions="be scripted", tools=["a"])
            },
            "update_io": {"update_io": response.UpdateIOResponse()},
            "get_session_usage": {"get_session_usage": response.GetSessionUsageResponse()},
            "get_rtc_stats": {"get_rtc_stats": response.GetRTCStatsResponse()},
            "finalize_simulation": {"finalize_simulation": response.FinalizeSimulationResponse()},
        }[kind]

    def run(self, request_id: str, text: str) -> None:
        self.add("user", text)
        word, _, rest = text.partition(" ")
        if word == "die":
            os._exit(9)
        elif word == "hangup":
            self.link.shutdown(socket.SHUT_RDWR)
        elif word == "hang":
            pass
        elif word == "garbage":
            self.frame(b"\xff\xff\xff")
            self.reply(request_id, "still here")
        elif word == "truncated":
            self.link.sendall(struct.pack(">I", 1000) + bytes(500))
            self.link.shutdown(socket.SHUT_RDWR)
        elif word == "absurd":
            self.link.sendall(b"\xff\xff\xff\xff")
        elif word == "oversize":
            # An answer past what is taken, but short enough to be skipped; it holds only itself.
            self.reply(request_id, "x" * (17 << 20), remember=False)
        elif word == "fail":
            self.answer(request_id, error="failed on purpose", run_input=self.pb.SessionResponse.RunInputResponse())
        elif word == "flood":
            for _ in range(int(rest)):
                self.state()
            self.reply(request_id, "flooded")
        elif word == "big":
            self.reply(request_id, "x" * int(rest))
        else:
            if word == "slow":
                time.sleep(float(rest))
            self.reply(request_id, f"echo: {text}")

    def reply(self, request_id: str, text: str, *, remember: bool = True) -> None:
        item = self.message("assistant", text)
        if remember:
            item = self.add("assistant", text)
        self.answer(request_id, run_input=self.pb.SessionResponse.RunInputResponse(items=[item]))

    def speak(self, text: str) -> None:
        self.add("assistant", text)

    def add(self, role: str, text: str):
        item = self.message(role, text)
        self.items.append(item)
        self.event(conversation_item_added=self.pb.AgentSessionEvent.ConversationItemAdded(item=item))
        return item

    def message(self, role: str, text: str):
        content = self.pb.ChatMessage.ChatContent(text=text)
        message = self.pb.ChatMessage(
            id=f"item_{time.monotonic_ns()}", role=self.pb.ChatRole.Value(role.upper()), content=[content]
        )
        return self.pb.ChatContext.ChatItem(message=message)

    def state(self) -> None:
        changed = self.pb.AgentSessionEvent.AgentStateChanged(
            old_state=self.pb.AS_THINKING, new_state=self.pb.AS_LISTENING
        )
        self.event(agent_state_changed=changed)

    def event(self, **event) -> None:
        self.send(event=self.pb.AgentSessionEvent(**event))

    def answer(self, request_id: str, **response) -> None:
        self.send(response=self.pb.SessionResponse(request_id=request_id, **response))

    def send(self, **message) -> None:
        self.frame(self.pb.AgentSessionMessage(**message).SerializeToString())

    def frame(self, message: bytes) -> None:
        with self.lock:
            self.link.sendall(struct.pack(">I", len(message)) + message)

    def read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            chunk = self.link.recv(length - len(data))
            if not chunk:
                sleep()
            data += chunk
        return data


def sleep() -> None:
    """The launcher ends it."""
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
