"""Tokens of other makers, through the installed package: `join` takes what the server takes."""

import base64
import hashlib
import hmac

import pytest

import greenroom

from .support.agents import Agent
from .support.server import KEY, SECRET
from .support.venue import Venue

HEADER = '{"alg":"HS256","typ":"JWT"}'
EXP = ',"exp":1999999999'


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(venue: Venue, more: str, grants: str = "", header: str = HEADER) -> str:
    """A token of claims as text, so that they can be what no serializer writes."""
    video = f'{{"roomJoin":true,"room":"{venue.name}","canManageAgentSession":true{grants}}}'
    claims = f'{{"iss":"{KEY}","sub":"ada","video":{video}{more}}}'
    message = f"{encoded(header.encode())}.{encoded(claims.encode())}"
    return f"{message}.{encoded(hmac.digest(SECRET.encode(), message.encode(), hashlib.sha256))}"


@pytest.mark.parametrize(
    ("more", "grants", "header"),
    [
        (',"exp":1999999999.75', "", HEADER),
        (',"exp":1.9e9', "", HEADER),
        (',"exp":null', "", HEADER),
        (f'{EXP},"nbf":1700000000.5', "", HEADER),
        (f'{EXP},"nbf":null,"name":null,"metadata":null,"attributes":null,"kind":null', "", HEADER),
        (EXP, ',"canPublish":null,"hidden":null', HEADER),
        (EXP, "", '{"typ":"JWT","alg":"HS256","extra":["a",1,null]}'),
    ],
)
async def test_token_that_the_server_takes_joins(
    venue: Venue, agent: Agent, more: str, grants: str, header: str
) -> None:
    async with greenroom.join(venue.server.url, signed(venue, more, grants, header)) as session:
        await session.ping()


@pytest.mark.parametrize("more", [',"exp":"1999999999"', f'{EXP},"name":"a","name":"b"'])
async def test_token_that_only_the_server_can_judge_is_left_to_it(venue: Venue, agent: Agent, more: str) -> None:
    try:
        async with greenroom.join(venue.server.url, signed(venue, more)) as session:
            await session.ping()
    except greenroom.GreenroomError as error:
        assert "refused the token (401" in str(error)  # noqa: PT017
