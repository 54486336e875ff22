"""The gate and the routing of a room as Python reaches them, without a room: `gate.py MS`. Prints nanoseconds.

`round` is what the Rust side measures (benches/rust/src/gate.rs): a request from its byte stream to the agent's host,
and its answer back to who asked.
"""

import json
import statistics
import sys
import time

from greenroom._native import RoomTopic

CONTROLLERS = 50
SAMPLE_S = 0.005
# A ping under the id `req_0123456789ab`, and a response whose id, of as many bytes, is filled in.
PING = b"\x22\x14\x0a\x10req_0123456789ab\x12\x00"


def answer(request: bytes) -> bytes:
    """The response to a request, without a protobuf library: its id, and a pong."""
    length = request[3]
    head = request[4 : 4 + length]
    return bytes((0x2A, length + 4, 0x0A, length)) + head + b"\x1a\x00"


def passes(board: RoomTopic, host: int, count: int) -> None:
    """Takes requests in and their answers out. The clock stands beside, so that the bucket of messages stays full."""
    for number in range(count):
        now = float(number)
        stream = board.begin("controller-7", "", len(PING), now)
        board.chunk(stream, PING, now)
        board.end(stream, now)
        while (incoming := board.poll()) is not None:
            if incoming[0] == "host":
                board.from_agent(host, answer(incoming[2]), None, now)
        while board.poll_send(now) is not None:
            pass


def main(total_s: float) -> float:
    """The median processor time of one round, in nanoseconds."""
    board = RoomTopic(0.0)
    host = board.open_host("{}")
    for number in range(CONTROLLERS):
        board.set_participant(f"PA_{number:012}", f"controller-{number}", True, False, False, 0.0)
    samples = []
    end = time.process_time() + total_s
    while time.process_time() < end or len(samples) < 5:
        begun = time.process_time()
        count = 0
        while time.process_time() - begun < SAMPLE_S:
            passes(board, host, 50)
            count += 50
        samples.append((time.process_time() - begun) * 1e9 / count)
    return statistics.median(samples)


if __name__ == "__main__":
    print(json.dumps({"round": main(int(sys.argv[1]) / 1000)}))
