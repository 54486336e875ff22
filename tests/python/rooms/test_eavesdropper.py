"""What somebody overhears with this SDK, which leaks.

Once livekit-data-stream 0.1.9 is in the SDK, the tests that say so fail, and it matters no more in which form we send.
"""

import json
import os
from pathlib import Path

from .support.eavesdropper import TOPIC, Eavesdropper
from .support.venue import Venue

SECRET = b"the code of the safe is 4711"


async def test_it_hears_what_is_sent_to_all(venue: Venue, eve: Eavesdropper) -> None:
    alice = await venue.connect("alice")
    await alice.local_participant.send_bytes(SECRET, topic=TOPIC)
    await alice.local_participant.send_bytes(SECRET * 1000, topic=TOPIC, compress=False)
    await eve.caught_up(alice)
    assert eve.delivered == [("alice", SECRET), ("alice", SECRET * 1000)]
    assert not eve.strays


async def test_it_does_not_hear_one_packet_to_another(venue: Venue, eve: Eavesdropper) -> None:
    alice, bob = await venue.connect("alice"), await venue.connect("bob")
    await venue.gather(alice, bob, eve.room)
    text = json.dumps([SECRET.decode()] * 3000).encode()  # deflated to one packet
    for content in (SECRET, os.urandom(14_000), text):
        await alice.local_participant.send_bytes(content, topic=TOPIC, destination_identities=["bob"])
    await eve.caught_up(alice)
    assert eve.everything() == []


async def test_it_hears_many_packets_to_another(venue: Venue, eve: Eavesdropper) -> None:
    alice, bob = await venue.connect("alice"), await venue.connect("bob")
    await venue.gather(alice, bob, eve.room)
    content = os.urandom(40_000)
    await alice.local_participant.send_bytes(content, topic=TOPIC, destination_identities=["bob"])
    writer = await alice.local_participant.stream_bytes("small", topic=TOPIC, destination_identities=["bob"])
    await writer.write(SECRET)
    await writer.aclose()
    await eve.caught_up(alice)
    assert [stray for _, stray in eve.strays.values()] == [content, SECRET]
    assert not eve.delivered


async def test_deflating_hides_nothing(venue: Venue, eve: Eavesdropper, tmp_path: Path) -> None:
    alice, bob = await venue.connect("alice"), await venue.connect("bob")
    await venue.gather(alice, bob, eve.room)
    file = tmp_path / "file"
    file.write_bytes(SECRET * 100)
    await alice.local_participant.send_file(str(file), topic=TOPIC, destination_identities=["bob"], compress=True)
    await eve.caught_up(alice)
    ((_, stray),) = eve.strays.values()
    assert len(stray) < 200
    assert eve.saw(SECRET * 100)


async def test_it_hears_all_that_is_sent_to_one_whom_the_sender_does_not_know(venue: Venue, eve: Eavesdropper) -> None:
    alice = await venue.connect("alice")
    await venue.connect("ghost", hidden=True, announce=False)
    assert "ghost" not in alice.remote_participants
    await alice.local_participant.send_bytes(SECRET, topic=TOPIC, destination_identities=["ghost"])
    await eve.caught_up(alice)
    assert [stray for _, stray in eve.strays.values()] == [SECRET]
