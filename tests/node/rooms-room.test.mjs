// A room without any SDK, with the SDK's own Rooms as witnesses: what they receive is what we sent, and the reverse.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  dispose,
  LocalAudioTrack,
  RoomEvent,
  TrackPublishOptions,
} from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { until } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

async function connect(t, place, identity = 'ours') {
  const room = await greenroom.Room.connect(server.url, await place.token(identity));
  t.after(() => room.close());
  await place.announce(identity);
  return room;
}

/** A room of ours and one of the SDK's, which know each other. */
async function both(t) {
  const place = venue(t, server);
  const [ours, theirs] = [await connect(t, place), await place.connect('theirs')];
  await until('the SDK knows us', () => theirs.remoteParticipants.has('ours'));
  await until('we know the SDK', () => ours.participants.get('theirs')?.isActive);
  return { place, ours, theirs };
}

async function eventOf(events, type) {
  for (;;) {
    const { value } = await events.next();
    if (value === undefined || value.type === type) return value;
  }
}

const checksum = (data) => createHash('sha256').update(data).digest('hex');

test('tells who is there and what they may', async (t) => {
  const { place, ours, theirs } = await both(t);
  const events = ours.events();
  assert.deepEqual([ours.info.name, ours.local.identity], [place.name, 'ours']);
  assert.equal(ours.local.sid, theirs.remoteParticipants.get('ours').sid);
  assert.equal(ours.participants.get('theirs').kind, 'standard');
  await place.setGrant('theirs', true);
  const { participant } = await eventOf(events, 'permissions_changed');
  assert.equal(participant.permissions.canManageAgentSession, true);
  await ours.setAttributes({ 'a.b_c': '1' });
  await until('they see it', () => theirs.remoteParticipants.get('ours').attributes['a.b_c'] === '1');
  assert.deepEqual(ours.local.attributes, { 'a.b_c': '1' });
  await ours.setMetadata('hello');
  await until('they see it', () => theirs.remoteParticipants.get('ours').metadata === 'hello');
  await theirs.disconnect();
  assert.equal((await eventOf(events, 'participant_left')).participant.identity, 'theirs');
  await ours.close();
  await ours.close();
  assert.equal(ours.disconnected.reason, 'client_initiated');
  await assert.rejects(ours.publish(Buffer.from('x')), greenroom.SessionClosed);
});

test('sends and takes packets', async (t) => {
  const { ours, theirs } = await both(t);
  const got = [];
  theirs.on(RoomEvent.DataReceived, (payload, _participant, _kind, topic) => got.push([Buffer.from(payload).toString(), topic]));
  const events = ours.events();
  await ours.publish(Buffer.from('reliable'), { topic: 't', to: ['theirs'] });
  await until('they have it', () => got.some(([text, topic]) => text === 'reliable' && topic === 't'));
  await theirs.localParticipant.publishData(Buffer.from('back'), {
    reliable: true,
    destination_identities: ['ours'],
    topic: 'u',
  });
  const data = await eventOf(events, 'data');
  assert.deepEqual([data.from, data.topic, data.reliable, data.payload.toString()], ['theirs', 'u', true, 'back']);
  await assert.rejects(ours.publish(Buffer.alloc(70_000)), greenroom.TooLarge);
  await assert.rejects(ours.publish('text'), greenroom.InvalidArgument);
});

for (const compress of [true, false]) {
  test(`streams 4 MiB both ways${compress ? ', compressed' : ''}`, async (t) => {
    const { ours, theirs } = await both(t);
    // Half of it is the same again, so that there is something to compress.
    const half = randomBytes(2 << 20);
    const sent = Buffer.concat([half, half]);
    const got = new Promise((resolve) =>
      theirs.registerByteStreamHandler('files', async (reader, { identity }) => {
        resolve([identity, reader.info.name, checksum(Buffer.concat(await reader.readAll()))]);
      }),
    );
    const streams = ours.receive('files');
    assert.throws(() => ours.receive('files'), greenroom.InvalidArgument);
    await ours.sendBytes(sent, { topic: 'files', name: 'a.bin', to: ['theirs'], compress });
    assert.deepEqual(await got, ['ours', 'a.bin', checksum(sent)]);
    const writer = await theirs.localParticipant.streamBytes({ topic: 'files', name: 'b.bin', destinationIdentities: ['ours'] });
    const writing = (async () => {
      for (let at = 0; at < sent.length; at += 1 << 20) await writer.write(sent.subarray(at, at + (1 << 20)));
      await writer.close();
    })();
    const { value: stream } = await streams.next();
    assert.deepEqual([stream.info.from, stream.info.name, stream.info.isText], ['theirs', 'b.bin', false]);
    assert.equal(checksum(await stream.read()), checksum(sent));
    await writing;
  });
}

test('sends and takes text', async (t) => {
  const { ours, theirs } = await both(t);
  const got = new Promise((resolve) => theirs.registerTextStreamHandler('chat', async (reader) => resolve(await reader.readAll())));
  const chat = ours.receive('chat');
  await ours.sendText('grüß dich 🎙', { topic: 'chat' });
  assert.equal(await got, 'grüß dich 🎙');
  await theirs.localParticipant.sendText('zurück', { topic: 'chat' });
  const { value: stream } = await chat.next();
  assert.deepEqual([stream.info.isText, await stream.readText()], [true, 'zurück']);
  // A wait that is ended, ends, and the topic is free again.
  const waiting = chat.next();
  await chat.return();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  ours.receive('chat');
});

const RATE = 48_000;

/** Sings 440 Hz at a quarter of full scale until the signal is aborted. */
async function sing(capture, signal) {
  for (let at = 0; !signal.aborted; at += RATE / 100) {
    const tone = Int16Array.from({ length: RATE / 100 }, (_, n) => 8192 * Math.sin((2 * Math.PI * 440 * (at + n)) / RATE));
    await capture.captureFrame(new AudioFrame(tone, RATE, 1, tone.length));
  }
}

/** Reads until half a second of it is the tone. */
async function hearsIt(frames) {
  let samples = [];
  for await (const { data } of frames) {
    samples.push(...data);
    if (samples.length < RATE / 2) continue;
    const turn = (2 * Math.PI * 440) / RATE;
    const part = (wave) => samples.reduce((sum, sample, n) => sum + sample * wave(turn * n), 0);
    const level = (2 * Math.hypot(part(Math.sin), part(Math.cos))) / samples.length / 32768;
    if (level > 0.2 && level < 0.3) return;
    samples = [];
  }
  assert.fail('the audio ended');
}

test('sends and takes audio', async (t) => {
  const { ours, theirs } = await both(t);
  const end = new AbortController();
  const events = ours.events();
  const coming = new Promise((resolve) => theirs.on(RoomEvent.TrackSubscribed, resolve));
  const track = await ours.publishAudio({ name: 'song' });
  const singing = sing(track, end.signal);
  await hearsIt(new AudioStream(await coming, RATE, 1));
  const muted = new Promise((resolve) => theirs.on(RoomEvent.TrackMuted, (_, { identity }) => resolve(identity)));
  await track.mute();
  assert.equal(await muted, 'ours');
  end.abort();
  await singing;
  await track.clearQueue();
  await track.waitForPlayout();
  await track.unpublish();
  await assert.rejects(
    track.captureFrame(new AudioFrame(new Int16Array(480), RATE, 1, 480)),
    greenroom.InvalidArgument,
  );

  const source = new AudioSource(RATE, 1);
  const song = LocalAudioTrack.createAudioTrack('theirs', source);
  await theirs.localParticipant.publishTrack(song, new TrackPublishOptions());
  const published = await eventOf(events, 'track_published');
  assert.deepEqual([published.participant.identity, published.track.name], ['theirs', 'theirs']);
  assert.deepEqual(ours.participants.get('theirs').tracks, [published.track]);
  const over = new AbortController();
  const sung = sing(source, over.signal);
  const stream = await ours.subscribe(published.track);
  assert.deepEqual([stream.from, stream.track, stream.rate], ['theirs', published.track, RATE]);
  await hearsIt(stream);
  over.abort();
  await sung;
  await theirs.localParticipant.unpublishTrack(song.sid);
  await eventOf(events, 'track_unpublished');
  await assert.rejects(ours.subscribe(published.track), greenroom.InvalidArgument);
});

test('a room that is deleted says so to all who wait', async (t) => {
  const { place, ours } = await both(t);
  const waiting = ours.receive('chat').next();
  const events = ours.events();
  await place.delete();
  assert.equal((await eventOf(events, 'disconnected')).reason, 'room_deleted');
  assert.equal((await waiting).done, true);
  await assert.rejects(ours.sendText('hi', { topic: 'chat' }), greenroom.AgentGone);
});

test('a join that is given up leaves nothing behind', async (t) => {
  const place = venue(t, server);
  const witness = await place.connect('witness');
  for (const millis of [0, 5, 20]) {
    const signal = AbortSignal.timeout(millis);
    const joining = greenroom.Room.connect(server.url, await place.token('ours'), { signal });
    await joining.then((room) => room.close(), (error) => assert.equal(error.name, 'TimeoutError'));
  }
  await until('nobody is left', () => witness.remoteParticipants.size === 0);
  await assert.rejects(greenroom.Room.connect(server.url, 'nonsense'), greenroom.PermissionDenied);
});
