"""Prepares livekit-agents for a session of Greenroom, in the agent's process, before anything of the agent runs.

Its import hook touches what the SDK puts in place of a room, and no file of the agent:

- The stand-ins for participant, room and job get the values that were given.
- Text with a lone surrogate is sent with U+FFFD in its place: the SDK fails to encode it, and with it the whole
  history.
- The job's thread, the end of the session and the end of the job are reported, whatever the agent's author does with
  the SDK's logger.
- An entrypoint that returns and has started nothing is reported, since nothing else ever would.

Where the SDK has changed so that a part does not fit, the part is left out. A part that given values need ends the
start instead. Lines that begin with `greenroom: ` are read by the launcher.
"""

# Further modules are imported where they are used, after the agent's own: one that is imported here would be found
# although a file of the project hides it.
import contextlib
import functools
import importlib.machinery
import importlib.util
import os
import sys

MOCK_ROOM = "livekit.agents.ipc.mock_room"
JOB = "livekit.agents.ipc.job_proc_lazy_main"

# Of an error, the report has the beginning: the launcher cuts long lines.
ERROR_CHARS = 1000


def clean(value):
    """The same value without lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(clean(item) for item in value)
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if hasattr(value, "model_copy") and hasattr(type(value), "model_fields"):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: clean(field) for name, field in fields.items() if not is_plain(field)}
        return value.model_copy(update=changed)
    return value


def is_plain(value):
    return value is None or isinstance(value, (bool, int, float))


def tolerant(encode):
    """Encodes what cannot be encoded without its lone surrogates."""

    @functools.wraps(encode)
    def encode_cleaned(*args, **kwargs):
        try:
            return encode(*args, **kwargs)
        except UnicodeEncodeError:
            *before, last = args
            return encode(*before, clean(last), **kwargs)

    return encode_cleaned


def prepare_remote_session(module):
    import inspect

    module.encode_chat_item = tolerant(module.encode_chat_item)
    host = module.SessionHost
    for name, method in list(vars(host).items()):
        if name.startswith("_on_") and inspect.isfunction(method):
            setattr(host, name, tolerant(method))


class StandIn:
    """The values given for participant, room and job."""

    def __init__(self, given):
        self.participant = given.get("participant") or {}
        self.room = given.get("room") or {}
        self.job = {"metadata": given["job_metadata"]} if "job_metadata" in given else {}
        self.in_mock_room = named(participant=self.participant, room=self.room)
        self.in_job = named(room=self.room, job=self.job)
        self.has_room = False

    def prepare_mock_room(self, module):
        create = module.create_mock_room

        @functools.cache
        def create_mock_room():
            mock = create()
            with refusal(self.in_mock_room):
                self.fill_mock_room(mock)
            self.has_room = True
            return mock

        module.create_mock_room = create_mock_room

    def fill_mock_room(self, mock):
        for name in ("name", "metadata"):
            if name in self.room:
                setattr(mock, name, self.room[name])
        if self.participant:
            (known,) = mock.remote_participants.values()
            # What is not given is as it is for a participant whose token says nothing of it.
            for name, default in (("name", ""), ("metadata", ""), ("attributes", {})):
                setattr(known, name, self.participant.get(name, default))
            known.identity = self.participant.get("identity", known.identity)

    def prepare_job(self, module):
        start = module._JobProc._start_job

        @functools.wraps(start)
        def start_job(job_proc, msg):
            with refusal(self.in_job):
                self.fill_job(msg.running_job.job)
            started = start(job_proc, msg)
            if not self.has_room:
                refuse(self.in_mock_room)
            return started

        module._JobProc._start_job = start_job

    def fill_job(self, job):
        if self.job:
            job.metadata = self.job["metadata"]
        if "name" in self.room:
            job.room.name = self.room["name"]
        if "metadata" in self.room:
            job.room.metadata = self.room["metadata"]

    def check_modules(self, _):
        """The SDK's package is there; whether the modules are that take the values is to be seen now."""
        for name, wanted in ((MOCK_ROOM, self.in_mock_room), (JOB, self.in_mock_room or self.in_job)):
            with refusal(wanted):
                if importlib.util.find_spec(name) is None:
                    refuse(wanted)


def named(**parts):
    return [name for name, part in parts.items() if part]


@contextlib.contextmanager
def refusal(wanted):
    """Ends the start where what was given cannot be set, instead of going on without."""
    try:
        yield
    except Exception:
        refuse(wanted)
        raise


def refuse(wanted):
    if wanted:
        what = " and ".join(wanted)
        tell(
            f"unfit: this release of livekit-agents can't set the given {what}; leave that out, "
            "or run the agent in a room"
        )
        os._exit(1)


def prepare_session(module):
    """The close event of a session has its reason and error, and is emitted once."""
    session = getattr(module, "LiveSession", None) or module.AgentSession
    emit = session.emit

    @functools.wraps(emit)
    def emit_reported(self, event, *args, **kwargs):
        if event == "close":
            with contextlib.suppress(Exception):
                report(session_end=end_of(*args))
        return emit(self, event, *args, **kwargs)

    session.emit = emit_reported


def end_of(closed):
    reason = getattr(closed.reason, "value", closed.reason)
    error = closed.error
    if error is not None:
        # The SDK's errors of its models carry the exception.
        cause = getattr(error, "error", None) or error
        name = f"{type(cause).__name__}: " if isinstance(cause, BaseException) else ""
        error = f"{name}{cause}"[:ERROR_CHARS]
    return {"reason": str(reason), "error": error}


def prepare_exit(module):
    """The job makes this message when it shuts down, before its callbacks."""
    exiting = module.Exiting

    @functools.wraps(exiting, updated=())
    def exiting_reported(*args, **kwargs):
        message = exiting(*args, **kwargs)
        with contextlib.suppress(Exception):
            report(job_ends=str(message.reason)[:ERROR_CHARS])
        return message

    module.Exiting = exiting_reported


def prepare_entrypoint(module):
    start = module._JobProc._start_job

    @functools.wraps(start)
    def start_job(self, msg):
        import threading

        report(job_thread=threading.get_native_id())
        self._job_entrypoint_fnc = watched(self._job_entrypoint_fnc, self)
        return start(self, msg)

    module._JobProc._start_job = start_job


def watched(entrypoint, job):
    """Tells of an entrypoint that returns without a session, and without a task that might still start one.

    The SDK itself tells of a job that was shut down.
    """

    import asyncio
    import inspect

    @functools.wraps(entrypoint)
    async def watched_entrypoint(ctx):
        before = asyncio.all_tasks()
        result = entrypoint(ctx)
        if inspect.isawaitable(result):
            result = await result
        has_session = getattr(ctx, "_primary_agent_session", True) is not None
        is_over = getattr(job, "_ctx_shutdown_called", False)
        if not has_session and not is_over and not asyncio.all_tasks() - before:
            report(entrypoint_returned=True)
        return result

    return watched_entrypoint


def tell(text):
    print(f"greenroom: {text}", file=sys.stderr, flush=True)


def report(**fields):
    """Reports to the launcher, which believes lines with its mark alone.

    One write, so that no other thread's line gets into it, and to the system's stderr, whatever `sys.stderr` is.
    """
    import json

    if MARK:
        with contextlib.suppress(OSError):
            os.write(2, f"greenroom: {MARK} {json.dumps(fields)}\n".encode())


class Preparation:
    """Prepares a module as soon as it was imported."""

    def __init__(self, parts):
        self.parts = parts

    def find_spec(self, name, path=None, target=None):
        prepares = self.parts.get(name)
        if prepares is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_prepare(module):
                load(module)
                for prepare in prepares:
                    # An SDK that has changed works without.
                    with contextlib.suppress(AttributeError, TypeError):
                        prepare(module)

            spec.loader.exec_module = load_and_prepare
        return spec


def needed(prepare, wanted):
    """The same, which ends the start where it fails."""

    def prepare_or_refuse(module):
        with refusal(wanted):
            prepare(module)

    return prepare_or_refuse


def parsed(text):
    import json

    return json.loads(text)


def main():
    parts = {
        "livekit.agents.voice.remote_session": [prepare_remote_session],
        "livekit.agents.voice.agent_session": [prepare_session],
        JOB: [prepare_entrypoint, prepare_exit],
    }
    values = os.environ.pop("GREENROOM_STAND_IN", None)
    given = StandIn(parsed(values) if values else {})
    wanted = given.in_mock_room or given.in_job
    parts[MOCK_ROOM] = [needed(given.prepare_mock_room, given.in_mock_room)]
    if wanted:
        parts[JOB].append(needed(given.prepare_job, wanted))
        parts["livekit.agents"] = [given.check_modules]
    sys.meta_path.insert(0, Preparation(parts))


MARK = os.environ.pop("GREENROOM_MARK", None)

main()
