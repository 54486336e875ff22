"""What is measured, by group. Each function measures one group and gives its rows."""

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from driver import build
from driver.audio import audio
from driver.capture import capture
from driver.measure import Bench, Command, Failed, Sample, median_of, median_peak, median_wall, output
from driver.table import Row
from driver.trips import trips

BENCHES = build.ROOT / "benches"


def codec(bench: Bench) -> list[Row]:
    """Processor time for one message, without a socket."""
    folder = bench.folder / "corpus"
    vectors = [build.ROOT / "tests" / "vectors" / name for name in ("python.json", "javascript.json")]
    bench.json([bench.rust, "corpus", folder, *vectors])
    commands = {
        "rust": ([bench.rust, "codec", folder, "--for-ms", "300"], None),
        "python": ([bench.python, BENCHES / "python" / "codec.py", folder, "300"], None),
        "node": ([bench.node, BENCHES / "node" / "codec.mjs", folder, "300"], bench.node_folder),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(bench.rounds(5)):
        for name, (command, cwd) in commands.items():
            found[name].append(bench.json(command, cwd))

    def row(peer: str, what: str, ours: str, theirs: str, target: float | None) -> Row:
        by = "rust" if ours in found["rust"][0] else peer
        pairs = [(b[theirs], a[ours]) for a, b in zip(found[by], found[peer], strict=True)]
        ratio = median_of(pairs, "ratio")
        return Row(
            "codec",
            what,
            micros(statistics.median(b for _, b in pairs) / 1000),
            f"{micros(statistics.median(a for a, _ in pairs) / 1000)} {NAMES[peer]} SDK",
            f"{ratio:.1f}x faster",
            f">= {target:.0f}x" if target else "",
            ratio >= target if target else None,
        )

    rows = []
    for peer, target in (("python", 5.0), ("node", 10.0)):
        rows.append(row(peer, "conversation: messages read, requests written", "conversation", "conversation", target))
        if peer == "python":
            rows.append(
                row(peer, "  the same, Python's messages left unread", "conversation", "conversation_unread", None)
            )
        rows += [
            row(peer, "conversation: wire codec, decode and encode", "conversation_wire", "conversation_wire", target),
            row(peer, "test vectors: wire codec, decode and encode", "vectors_wire", "vectors_wire", target),
            row(peer, f"{BINDINGS[peer]}: receive and read_events", "binding", "conversation", None),
        ]
    return rows


def gate(bench: Bench) -> list[Row]:
    """Processor time for one request in a room with 50 controllers, without the room: in, and its answer out."""
    commands = {
        "rust": ([bench.rust, "gate", "--for-ms", "300"], None, 2.0),
        "python": ([bench.python, BENCHES / "python" / "gate.py", "300"], None, 10.0),
        "node": ([bench.node, BENCHES / "node" / "gate.mjs", "300"], bench.node_folder, 10.0),
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(bench.rounds(5)):
        for name, (command, cwd, _) in commands.items():
            found[name].append(bench.json(command, cwd)["round"] / 1000)

    def row(name: str, target: float) -> Row:
        taken = statistics.median(found[name])
        what = f"gate and route of one request and its answer, from {NAMES[name]}"
        return Row("gate", what, micros(taken), "", "", f"<= {target:.0f} us", taken <= target)

    return [row(name, target) for name, (*_, target) in commands.items()]


def ping(bench: Bench) -> list[Row]:
    """Median round trips: through a session with the scripted agent, and over a bare socket to an echo server.

    Once with all programs on one processor, which shows the work, and once where the system likes, which adds what it
    takes to wake another processor.
    """
    rows = []
    if hasattr(os, "sched_setaffinity"):
        everywhere = os.sched_getaffinity(0)
        # What is started from here on inherits it.
        os.sched_setaffinity(0, {min(everywhere)})
        try:
            rows += pings(bench, "on one processor")
        finally:
            os.sched_setaffinity(0, everywhere)
    return rows + pings(bench, "on any")


def pings(bench: Bench, where: str) -> list[Row]:
    """The rows of each language."""
    blocks, trips = 10, 200
    scripts = {
        "rust": ("a bare tokio socket", 3.0),
        "python": ("a bare asyncio stream", 2.0),
        "node": ("a bare net.Socket", 2.0),
    }
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in scripts}
    with echo_server(bench) as port:
        for _ in range(bench.rounds(3)):
            limits = ["--blocks", str(blocks), "--trips", str(trips)]
            rust = [bench.rust, "ping", "--peer", bench.peer, "--echo", f"127.0.0.1:{port}", *limits]
            found = bench.json(rust)
            pairs["rust"] += zip(found["session"], found["echo"], strict=True)
            arguments = [bench.peer, str(port), str(found["frame"]), str(blocks), str(trips)]
            found = bench.json([bench.python, BENCHES / "python" / "ping.py", *arguments])
            pairs["python"] += zip(found["session"], found["echo"], strict=True)
            found = bench.json([bench.node, BENCHES / "node" / "ping.mjs", *arguments], bench.node_folder)
            pairs["node"] += zip(found["session"], found["echo"], strict=True)
    rows = []
    for name, (peer, target) in scripts.items():
        ratio = median_of(pairs[name], "ratio")
        rows.append(
            Row(
                "ping",
                f"ping through a session from {NAMES[name]}, p50, {where}",
                micros(statistics.median(a for a, _ in pairs[name])),
                f"{micros(statistics.median(b for _, b in pairs[name]))} {peer}",
                f"{ratio:.2f}x",
                f"<= {target:.0f}x",
                ratio <= target,
            )
        )
    return rows


def spoken(bench: Bench) -> list[Row]:
    """What a spoken turn takes beyond the sounds of both sides, with an agent that takes no time of its own."""
    scripts = {
        "python": ([bench.python, BENCHES / "python" / "spoken.py", bench.peer], None),
        "node": ([bench.node, BENCHES / "node" / "spoken.mjs", bench.peer], bench.node_folder),
    }
    found: dict[str, dict[str, list[float]]] = {name: {"beyond_ms": [], "sleep_ms": []} for name in scripts}
    for _ in range(bench.rounds(3)):
        for name, (script, cwd) in scripts.items():
            for key, values in bench.json([*script, 10], cwd).items():
                found[name][key] += values

    def row(name: str) -> Row:
        beyond = statistics.median(found[name]["beyond_ms"])
        late = statistics.median(found[name]["sleep_ms"])
        what = f"a spoken turn beyond the sounds of both sides, p50, from {NAMES[name]}"
        return Row(
            "spoken", what, millis(beyond), f"{millis(late)} late from a bare sleep", "", "<= 30 ms", beyond <= 30
        )

    return [row(name) for name in scripts]


def room(bench: Bench) -> list[Row]:
    """Through a LiveKit server: the smallest call, and what an event costs an agent that has many controllers."""
    scripts = {
        "python": ([bench.python, BENCHES / "python" / "room.py"], None),
        "node": ([bench.node, BENCHES / "node" / "room.mjs"], bench.node_folder),
    }
    few, many = 1, 50
    calls: dict[str, list[tuple[float, float]]] = {name: [] for name in scripts}
    events: dict[str, list[tuple[float, float]]] = {name: [] for name in scripts}
    bare: dict[str, list[tuple[float, float]]] = {name: [] for name in scripts}
    with livekit_server(bench) as environment:

        def measure(name: str, *arguments: object) -> dict[str, list[float]]:
            script, cwd = scripts[name]
            # The SDK's native part may print lines before.
            found: dict[str, list[float]] = json.loads(
                output([*script, *arguments], cwd=cwd, env=environment).splitlines()[-1]
            )
            return found

        for _ in range(bench.rounds(3)):
            for name in scripts:
                found = measure(name, "pings", 6, 100)
                calls[name] += zip(found["ours"], found["sdk"], strict=True)
        with audience(bench, environment, few, many):
            for _ in range(bench.rounds(3)):
                for name in scripts:
                    found = measure(name, "events", 24, 50, few, many)
                    events[name] += zip(found[f"event {many}"], found[f"event {few}"], strict=True)
                    bare[name] += zip(found[f"bare {many}"], found[f"bare {few}"], strict=True)

    def row(what: str, pairs: list[tuple[float, float]], peer: str, target: float | None) -> Row:
        ratio = median_of(pairs, "ratio")
        ours, theirs = (micros(statistics.median(side)) for side in zip(*pairs, strict=True))
        limits = (f"<= {target:.1f}x", ratio <= target) if target else ("", None)
        return Row("room", what, ours, f"{theirs} {peer}", f"{ratio:.2f}x", *limits)

    rows = []
    for name in scripts:
        rows.append(row(f"a call through a room from {NAMES[name]}, p50", calls[name], f"{NAMES[name]} SDK", 1.1))
    for name in scripts:
        what = f"an agent's time for one event in {NAMES[name]}, {many} controllers"
        rows.append(row(what, events[name], f"with {few}", 1.3))
        rows.append(row(f"  (the SDK's own send to the same {many})", bare[name], f"to {few}", None))
    return rows


def client(bench: Bench) -> list[Row]:
    """A room that is joined without an SDK, beside the SDKs' Rooms; the same process answers all of them."""
    scripts = {
        "rust": ([bench.rust, "client", "--trips"], ["--streams"], None),
        "python": ([bench.python, BENCHES / "python" / "client.py"], [], None),
        "node": ([bench.node, BENCHES / "node" / "client.mjs"], [], bench.node_folder),
    }
    trips, streams, many = 1000, 5, 100
    found: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
    with livekit_server(bench) as environment:

        def token(room: str, identity: str) -> str:
            command = [bench.greenroom, "token", "--json", "--room", room, "--identity", identity]
            return str(json.loads(output(command, env=environment))["token"])

        def measure(name: str) -> dict[str, float]:
            command, between, cwd = scripts[name]
            joins = environment | {"LIVEKIT_TOKEN": token("client", name)}
            printed = output([*command, trips, *between, streams], cwd=cwd, env=joins)
            # The SDK's native part may print lines before.
            return dict(json.loads(printed.splitlines()[-1]))

        with answering(bench, environment | {"LIVEKIT_TOKEN": token("client", "echo")}):
            for round_ in range(bench.rounds(5) + 1):
                for name in scripts:
                    one = measure(name)
                    # The first round warms up.
                    if round_:
                        found[name].append(one)
        tokens = " ".join(token("many", f"member-{number}") for number in range(many))
        together = json.loads(output([bench.rust, "client-rooms"], env=environment | {"LIVEKIT_TOKENS": tokens}))

    rows = []
    for peer in ("python", "node"):
        for key, what, most, show in (
            ("join_ms", "a join, until data can be sent", 0.4, millis),
            ("answered_ms", "  until the first packet is answered", None, millis),
            ("trip_us", "a packet of 200 bytes and its answer, p50", 0.8, micros),
            ("stream_ms", "a stream of 4 MiB, until it is there", 1 / 0.9, millis),
            ("processor_ms", "processor time for 1,000 packets and answers", 0.5, millis),
        ):
            pairs = [(a[key], b[key]) for a, b in zip(found["rust"], found[peer], strict=True)]
            ratio = median_of(pairs, "ratio")
            ours, theirs = (show(statistics.median(side)) for side in zip(*pairs, strict=True))
            limits = (f"<= {most:.2f}x", ratio <= most) if most else ("", None)
            rows.append(Row("client", what, ours, f"{theirs} {NAMES[peer]} SDK", f"{ratio:.2f}x", *limits))

    def usual(name: str, key: str) -> float:
        return statistics.median(one[key] for one in found[name])

    held, python_held = usual("rust", "room_kib") / 1024, usual("python", "room_kib") / 1024
    threads, python_threads = usual("rust", "threads"), usual("python", "threads")
    mib = together["resident_kib"] / 1024
    return [
        *rows,
        Row(
            "client",
            "memory of one room, over idle",
            mebibytes(held),
            f"{mebibytes(python_held)} Python SDK",
            "",
            "<= 25 MB",
            held <= 25,
        ),
        Row(
            "client",
            "threads of a process with one room",
            f"{threads:.0f}",
            f"{python_threads:.0f} Python SDK",
            "",
            "<= 3",
            threads <= 3,
        ),
        Row("client", f"a process with {together['rooms']} rooms", mebibytes(mib), "", "", "<= 400 MB", mib <= 400),
    ]


def imports(bench: Bench) -> list[Row]:
    """What an import adds to a bare interpreter."""
    python = {
        "bare": [bench.python, "-c", "pass"],
        "ours": [bench.python, "-c", "import greenroom"],
        "asyncio": [bench.python, "-c", "import asyncio"],
    }
    node = {
        "bare": [bench.node, "--input-type=module", "-e", ""],
        "ours": [bench.node, "--input-type=module", "-e", "import 'greenroom'"],
        "bare cjs": [bench.node, "-e", ""],
        "ours cjs": [bench.node, "-e", "require('greenroom')"],
    }
    sdk = {
        "bare": python["bare"],
        "peer": [bench.python, "-c", "from livekit.agents.voice.remote_session import RemoteSession"],
    }
    py = bench.in_turn(python, bench.rounds(15))
    js = bench.in_turn(node, bench.rounds(15), bench.node_folder)
    theirs = bench.in_turn(sdk, bench.rounds(3))
    asks = "import greenroom, sys; assert 'asyncio' not in sys.modules"
    asyncio_free = subprocess.run([bench.python, "-c", asks], capture_output=True, check=False).returncode == 0

    py_time, py_peak = over(py["ours"], py["bare"])
    sdk_time, sdk_peak = over(theirs["peer"], theirs["bare"])
    rows = [
        Row(
            "import",
            "import greenroom, over bare python3",
            millis(py_time),
            f"{millis(sdk_time)} the SDK's RemoteSession",
            f"{sdk_time / py_time:.0f}x faster" if py_time > 0 else "",
            "<= 40 ms",
            py_time <= 40,
        ),
        Row(
            "import",
            "import greenroom, memory over bare python3",
            mebibytes(py_peak),
            f"{mebibytes(sdk_peak)} the SDK's RemoteSession",
            f"{sdk_peak / py_peak:.0f}x less" if py_peak > 0 else "",
            "<= 12 MB",
            py_peak <= 12,
        ),
        Row(
            "import",
            "import greenroom leaves asyncio out",
            "yes" if asyncio_free else "no",
            f"{millis(over(py['asyncio'], py['bare'])[0])} asyncio",
            "",
            "yes",
            asyncio_free,
        ),
    ]
    for what, ours, bare in (("import 'greenroom'", "ours", "bare"), ("require('greenroom')", "ours cjs", "bare cjs")):
        time, _ = over(js[ours], js[bare])
        rows.append(
            Row("import", f"{what}, over bare node", millis(time), "", "", "<= 30 ms", time <= 30),
        )
    return rows


def say(bench: Bench) -> list[Row]:
    """One turn from the terminal, wall time of the whole command, on the same agent."""
    lk = build.lk()
    rows: list[Row] = []
    for agent, make in (("bare scripted agent", bare_project), ("example agent on livekit-agents", sdk_project)):
        rows += say_to(bench, lk, agent, make(bench))
    return rows


def say_to(bench: Bench, lk: Path, agent: str, project: Path) -> list[Row]:
    """The rows of one agent, which each command has started for itself."""
    home = bench.folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    port = str(free_port())
    bench.environment |= {"GREENROOM_HOME": str(home), "LK_SESSION_PORT": port, "NO_COLOR": "1"}
    entry = project / "agent.py"
    ours = {
        "binary": bench.greenroom,
        "pip": bench.python.parent / "greenroom",
        "npm": bench.node_folder / "node_modules" / ".bin" / "greenroom",
    }
    for program in ours.values():
        if not os.access(program, os.X_OK):
            raise Failed(f"{program} is not there, or cannot be run; `make bench` builds and installs it")
    commands: dict[str, Command] = {name: [program, "say", "hello"] for name, program in ours.items()}
    commands |= {
        "lk": [lk, "agent", "daemon", "say", "hello"],
        "node": [bench.node, "-e", "0"],
        "python": [bench.python, "-c", "pass"],
    }
    with contextlib.ExitStack() as stack:
        output([bench.greenroom, "start", entry], cwd=project, env=bench.environment)
        stack.callback(output, [bench.greenroom, "end"], env=bench.environment)
        output([lk, "agent", "daemon", "start", entry], cwd=project, env=bench.environment)
        stack.callback(output, [lk, "agent", "daemon", "stop"], env=bench.environment)
        found = bench.in_turn(commands, bench.rounds(21), cwd=project)

    rows = []
    lk_ms = median_wall(found["lk"])
    for name, what in (("binary", "greenroom say"), ("pip", "greenroom say, as pip installs it")):
        ratio = median_of(walls(found[name], found["lk"]), "ratio")
        rows.append(
            Row(
                "say",
                f"{what}: {agent}",
                millis(median_wall(found[name])),
                f"{millis(lk_ms)} lk 2.18.2",
                f"{ratio:.2f}x",
                "<= 0.7x",
                ratio <= 0.7,
            )
        )
    over_node = median_of(walls(found["npm"], found["node"]), "difference")
    rows.append(
        Row(
            "say",
            f"greenroom say, as npm installs it: {agent}",
            millis(median_wall(found["npm"])),
            f"{millis(median_wall(found['node']))} bare node",
            f"{over_node:+.1f} ms",
            "<= +25 ms",
            over_node <= 25,
        )
    )
    if agent.startswith("bare"):
        peak = median_peak(found["binary"])
        lk_peak = median_peak(found["lk"])
        rows += [
            Row(
                "say",
                "greenroom say, peak memory",
                mebibytes(peak),
                f"{mebibytes(lk_peak)} lk 2.18.2",
                f"{peak / lk_peak:.2f}x",
                "<= 12 MB",
                peak <= 12,
            ),
            Row(
                "say",
                "(a bare interpreter's start-up, to compare with)",
                f"{millis(median_wall(found['python']))} python3",
                f"{millis(median_wall(found['node']))} node",
            ),
        ]
    return rows


def memory(bench: Bench) -> list[Row]:
    """Resident memory while sessions are held."""
    found = bench.json([bench.rust, "sessions", "--peer", bench.peer])
    each = (found["many_kib"] - found["one_kib"]) / found["more"] / 1024
    rows = [
        Row(
            "memory",
            f"each further session of the Rust library ({found['more'] + 1} in one process)",
            mebibytes(each),
            f"{mebibytes(found['one_kib'] / 1024)} the process with one",
            "",
            "<= 2 MB",
            each <= 2,
        )
    ]
    home = bench.folder / "daemon-home"
    home.mkdir(mode=0o700, exist_ok=True)
    environment = bench.environment | {"GREENROOM_HOME": str(home)}
    project = bare_project(bench)
    output([bench.greenroom, "start", project / "agent.py"], cwd=project, env=environment)
    try:
        output([bench.greenroom, "say", "hello"], cwd=project, env=environment)
        resident = resident_mib(daemon_of(bench.greenroom, home))
    finally:
        output([bench.greenroom, "end"], env=environment)
    rows.append(
        Row("memory", "the daemon that holds a session", mebibytes(resident), "", "", "<= 15 MB", resident <= 15)
    )
    return rows


GROUPS: dict[str, Callable[[Bench], list[Row]]] = {
    "codec": codec,
    "gate": gate,
    "ping": ping,
    "spoken": spoken,
    "room": room,
    "client": client,
    "import": imports,
    "say": say,
    "memory": memory,
    "audio": audio,
    "capture": capture,
    "trips": trips,
}
NAMES = {"rust": "Rust", "python": "Python", "node": "Node"}
BINDINGS = {"python": "through PyO3", "node": "through napi"}


@contextlib.contextmanager
def echo_server(bench: Bench) -> Iterator[int]:
    """The bare server that every bare client talks to; gives its port. It ends when its standard input does."""
    with subprocess.Popen([bench.rust, "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.communicate()


@contextlib.contextmanager
def answering(bench: Bench, environment: dict[str, str]) -> Iterator[None]:
    """Who answers in a room; it leaves when its standard input ends."""
    with subprocess.Popen(
        [bench.rust, "client-echo"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise Failed("who answers could not join the room")
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def livekit_server(bench: Bench) -> Iterator[dict[str, str]]:
    """The server of the room tests; gives the environment in which the SDKs find it."""
    build.run("livekit-server", [".ci/livekit-server"])
    # It imports nothing that has to be installed.
    sys.path.insert(0, str(build.ROOT / "tests" / "python"))
    from rooms.support.server import KEY, SECRET, Server

    server = Server(bench.folder)
    try:
        found = {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
        yield bench.environment | found
    finally:
        server.stop()


@contextlib.contextmanager
def audience(bench: Bench, environment: dict[str, str], *counts: int) -> Iterator[None]:
    """Rooms with so many controllers each, in a process of their own."""
    command = [str(bench.python), str(BENCHES / "python" / "audience.py"), *map(str, counts)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise Failed("the controllers could not join their rooms")
            yield
        finally:
            process.kill()


def bare_project(bench: Bench) -> Path:
    """A project whose interpreter is the scripted agent: what a turn takes is then the command's own."""
    project = bench.folder / "bare"
    if not project.exists():
        (project / ".venv" / "bin").mkdir(parents=True)
        (project / ".venv" / "bin" / "python").symlink_to(bench.peer)
        (project / "agent.py").write_text("# The scripted agent stands for this file.\n")
        (project / "requirements.txt").write_text("livekit-agents==1.8.9\n")
    return project


def sdk_project(bench: Bench) -> Path:
    """The example agent, whose LLM is a script, with the released SDK."""
    project = bench.folder / "sdk"
    if not project.exists():
        shutil.copytree(build.ROOT / "examples" / "python", project, ignore=shutil.ignore_patterns(".venv"))
        (project / ".venv").symlink_to(bench.python.parent.parent)
    return project


def daemon_of(greenroom: Path, home: Path) -> int:
    """The process that holds the one session of a state folder."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdigit() or Path(os.readlink(entry / "exe")) != greenroom.resolve():
                continue
            if f"GREENROOM_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                return int(entry.name)
    raise Failed("the daemon's process was not found in /proc")


def resident_mib(pid: int) -> float:
    """What a process has resident now, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Failed(f"the memory of process {pid} cannot be told")


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def over(ours: Sequence[Sample], bare: Sequence[Sample]) -> tuple[float, float]:
    """What the one takes more than the other: milliseconds, MiB."""
    peaks = [(a.peak_mib, b.peak_mib) for a, b in zip(ours, bare, strict=True)]
    return median_of(walls(ours, bare), "difference"), median_of(peaks, "difference")


def walls(ours: Sequence[Sample], theirs: Sequence[Sample]) -> list[tuple[float, float]]:
    """Times of runs next to each other, in milliseconds."""
    return [(a.wall_ms, b.wall_ms) for a, b in zip(ours, theirs, strict=True)]


def micros(value: float) -> str:
    """Microseconds."""
    return f"{value:.2f} us" if value < 10 else f"{value:.0f} us"


def millis(value: float) -> str:
    """Milliseconds."""
    return f"{value:.1f} ms"


def mebibytes(value: float) -> str:
    """Mebibytes, which the targets call MB."""
    return f"{value:.1f} MB" if value >= 1 else f"{value:.2f} MB"
