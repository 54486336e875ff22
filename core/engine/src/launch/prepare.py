"""Prepares livekit-agents for a session of Greenroom, in the agent's process, before anything of the agent runs.

Its import hook touches what the SDK puts in place of a room, and no file of the agent:

- The stand-ins for participant, room and job get the values that were given.
- Text with a lone surrogate is sent with U+FFFD in its place: the SDK fails to encode it, and with it the whole
  history.
- An entrypoint that returns and has started nothing is told of, since nothing else ever would.

Each part is left out where the SDK has changed so that it does not fit. Lines that begin with `greenroom: ` are read by
the launcher.
"""

import asyncio
import contextlib
import functools
import importlib.machinery
import inspect
import json
import os
import sys


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
    module.encode_chat_item = tolerant(module.encode_chat_item)
    host = module.SessionHost
    for name, method in list(vars(host).items()):
        if name.startswith("_on_") and inspect.isfunction(method):
            setattr(host, name, tolerant(method))


def prepare_mock_room(module, given):
    participant, room = given.get("participant") or {}, given.get("room") or {}
    create = module.create_mock_room

    @functools.cache
    def create_mock_room():
        mock = create()
        for name in ("name", "metadata"):
            if name in room:
                setattr(mock, name, room[name])
        if participant:
            (known,) = mock.remote_participants.values()
            # What is not given is as it is for a participant whose token says nothing of it.
            for name, default in (("name", ""), ("metadata", ""), ("attributes", {})):
                setattr(known, name, participant.get(name, default))
            known.identity = participant.get("identity", known.identity)
        return mock

    module.create_mock_room = create_mock_room


def prepare_job(module, given):
    start = module._JobProc._start_job

    @functools.wraps(start)
    def start_job(self, msg):
        job = msg.running_job.job
        if "job_metadata" in given:
            job.metadata = given["job_metadata"]
        room = given.get("room") or {}
        if "name" in room:
            job.room.name = room["name"]
        if "metadata" in room:
            job.room.metadata = room["metadata"]
        self._job_entrypoint_fnc = watched(self._job_entrypoint_fnc, self)
        return start(self, msg)

    module._JobProc._start_job = start_job


def watched(entrypoint, job):
    """Tells of an entrypoint that returns without a session, and without a task that might still start one.

    The SDK itself tells of a job that was shut down.
    """

    @functools.wraps(entrypoint)
    async def watched_entrypoint(ctx):
        before = asyncio.all_tasks()
        result = entrypoint(ctx)
        if inspect.isawaitable(result):
            result = await result
        has_session = getattr(ctx, "_primary_agent_session", True) is not None
        is_over = getattr(job, "_ctx_shutdown_called", False)
        if not has_session and not is_over and not asyncio.all_tasks() - before:
            tell("the entrypoint returned without a session")
        return result

    return watched_entrypoint


def tell(text):
    print(f"greenroom: {text}", file=sys.stderr, flush=True)


class Preparation:
    """Prepares a module as soon as it was imported."""

    def __init__(self, parts):
        self.parts = parts

    def find_spec(self, name, path=None, target=None):
        prepare = self.parts.get(name)
        if prepare is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_prepare(module):
                load(module)
                # An SDK that has changed works without.
                with contextlib.suppress(AttributeError, TypeError):
                    prepare(module)

            spec.loader.exec_module = load_and_prepare
        return spec


def main():
    given = json.loads(os.environ.pop("GREENROOM_STAND_IN", None) or "{}")
    parts = {
        "livekit.agents.voice.remote_session": prepare_remote_session,
        "livekit.agents.ipc.mock_room": lambda module: prepare_mock_room(module, given),
        "livekit.agents.ipc.job_proc_lazy_main": lambda module: prepare_job(module, given),
    }
    sys.meta_path.insert(0, Preparation(parts))


main()
