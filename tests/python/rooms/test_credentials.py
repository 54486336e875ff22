"""Tokens of ours before the verifiers of both SDKs and the server itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from livekit import api

import greenroom

from .support.server import KEY, SECRET
from .support.venue import Venue

NODE = Path(__file__).parents[2] / "node"


async def test_the_sdk_s_verifier_takes_it(keys: None) -> None:
    made = greenroom.credentials(
        "demo",
        identity="ada",
        name="Ada",
        metadata="m",
        attributes={"a.b_c": "1"},
        grants={"can_publish": False, "can_publish_sources": ["microphone"], "hidden": True},
        can_manage_agent_session=True,
        dispatch={"helper": "{}"},
        url="ws://127.0.0.1:7880",
    )
    claims = api.TokenVerifier(KEY, SECRET).verify(made.token)
    assert (claims.identity, claims.name, claims.metadata) == (made.identity, "Ada", "m")
    assert made.identity.startswith("ada-")
    assert claims.attributes == {"a.b_c": "1"}
    video = claims.video
    assert video is not None
    assert (video.room_join, video.room) == (True, "demo")
    assert (video.can_publish, video.can_publish_sources, video.hidden) == (False, ["microphone"], True)
    assert video.can_manage_agent_session is True
    assert claims.room_config is not None
    assert [(agent.agent_name, agent.metadata) for agent in claims.room_config.agents] == [("helper", "{}")]
    assert made.grants == greenroom.Grants(
        can_publish=False, can_publish_sources=("microphone",), hidden=True, can_manage_agent_session=True
    )
    with pytest.raises(Exception, match=r"[Ss]ignature"):
        api.TokenVerifier(KEY, "another secret of thirty-two letters").verify(made.token)


async def test_the_javascript_sdk_s_verifier_takes_it(keys: None) -> None:
    made = greenroom.credentials("demo", identity="ada", can_manage_agent_session=True, url="ws://127.0.0.1:7880")
    code = """
import { TokenVerifier } from 'livekit-server-sdk';
const [key, secret, token] = process.env.CASE.split(' ');
console.log(JSON.stringify(await new TokenVerifier(key, Buffer.from(process.env.SECRET).toString()).verify(token)));
"""
    shown = subprocess.run(
        ["node", "--input-type=module", "-e", code],
        cwd=NODE,
        env={**os.environ, "CASE": f"{KEY} - {made.token}", "SECRET": SECRET},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    claims = json.loads(shown)
    assert claims["sub"] == made.identity
    assert claims["video"] == {
        "roomJoin": True,
        "room": "demo",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
        "canUpdateOwnMetadata": False,
        "canManageAgentSession": True,
    }


@pytest.mark.parametrize("granted", [True, False])
async def test_the_server_takes_it_and_grants_what_it_says(venue: Venue, keys: None, granted: bool) -> None:
    made = greenroom.credentials(venue.name, can_manage_agent_session=granted, url=venue.server.url)
    async with await greenroom.Room.connect(made.url, made.token) as room:
        assert (room.info.name, room.local.identity) == (made.room_id, made.identity)
        assert room.local.permissions is not None
        assert room.local.permissions.can_manage_agent_session is granted
        assert room.local.permissions.can_publish_data


async def test_the_token_is_not_shown(keys: None) -> None:
    made = greenroom.credentials(url="ws://127.0.0.1:7880")
    assert made.token not in repr(made)
    assert made.token not in str(made)


async def test_who_asks_is_in_the_audit_log(keys: None) -> None:
    greenroom.credentials("demo", url="ws://127.0.0.1:7880", requested_by="voice/start for ada")
    greenroom.credentials("demo", url="ws://127.0.0.1:7880")
    log = Path(os.environ["GREENROOM_AUDIT_LOG"]).read_text()
    asked = [line["requested_by"] for line in map(json.loads, log.splitlines()) if line["type"] == "secret_read"]
    assert asked == ["voice/start for ada", Path(sys.argv[0]).name]
    assert SECRET not in log


async def test_what_cannot_be_meant_is_refused(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, **options: object) -> None:
        with pytest.raises(greenroom.InvalidArgument, match=match):
            greenroom.credentials(**{"url": "ws://127.0.0.1:7880", **options})  # type: ignore[arg-type]

    refused("room's name is empty", room="")
    refused("unknown field", grants={"can_fly": True})
    refused("from 1 s to a year", ttl=0.1)
    refused("ttl", ttl=-1.0)
    refused("inside containers", url="ws://livekit:7880")
    refused("only with a server on this machine", url="ws://192.0.2.1", api_key="devkey", api_secret="secret")
    monkeypatch.delenv("LIVEKIT_API_SECRET")
    refused("no LIVEKIT_API_SECRET")


async def test_the_pair_for_development_is_said_aloud(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEKIT_API_KEY")
    monkeypatch.delenv("LIVEKIT_API_SECRET")
    with pytest.warns(RuntimeWarning, match="public pair for development"):
        greenroom.credentials(url="ws://localhost:7880")
