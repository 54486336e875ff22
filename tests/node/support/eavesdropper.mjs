// A participant who listens in. tests/python/rooms/support/eavesdropper.py is its twin.
//
// What the SDK gives its users is not all that reaches a participant: packets of streams that are addressed to others
// may come too, without the header that would tell what they belong to. Somebody with a client of their own would read
// them, so a test that nobody overhears anything has to. They are below the SDK's public surface; only this file goes
// there.

import { randomUUID } from 'node:crypto';
import { constants, inflateRawSync } from 'node:zlib';
import { RoomEvent } from '@livekit/rtc-node';
import { until } from './agents.mjs';

export const TOPIC = 'lk.agent.session';
export const FENCE = 'eavesdropper.fence';

/** Joins as somebody without the grant who records all that reaches them; lets go after the test. */
export async function eavesdrop(t, venue, { identity = 'eve', topic = TOPIC } = {}) {
  const eve = new Eavesdropper(await venue.connect(identity), topic);
  t.after(() => eve.close());
  return eve;
}

class Eavesdropper {
  /** Streams on the topic to all or to this participant, in the order of their ends: `[sender, content]`. */
  delivered = [];
  /** What came of streams to others: by stream, `[sender, content as it travels]`. Their topics are unknown. */
  strays = new Map();
  #topic;
  #announced = new Set();
  #reading = 0;
  #fences = new Set();

  constructor(room, topic) {
    this.room = room;
    this.#topic = topic;
    globalThis._ffiClientInstance.on('ffi_event', this.#listen);
    room.registerByteStreamHandler(topic, this.#read);
    room.registerByteStreamHandler(FENCE, this.#openFence);
    room.on(RoomEvent.DataReceived, this.#passFence);
  }

  close() {
    globalThis._ffiClientInstance.off('ffi_event', this.#listen);
    this.room.unregisterByteStreamHandler(this.#topic);
    this.room.unregisterByteStreamHandler(FENCE);
    this.room.off(RoomEvent.DataReceived, this.#passFence);
  }

  /**
   * Waits until all has arrived that these sent before this call. Packets of one sender keep their order, and so do
   * streams; but the SDK tells of packets and of streams apart. The stream goes to all: chunks of one to this participant
   * alone may reach others, as strays.
   */
  async caughtUp(...senders) {
    for (const { localParticipant } of senders) {
      const [packet, stream] = [randomUUID(), randomUUID()];
      const destination_identities = [this.room.localParticipant.identity];
      await localParticipant.publishData(Buffer.from(packet), { reliable: true, destination_identities, topic: FENCE });
      await (await localParticipant.streamBytes({ topic: FENCE, name: stream })).close();
      await until('the eavesdropper catches up', () => this.#fences.has(packet) && this.#fences.has(stream));
    }
    await until("the eavesdropper's streams end", () => this.#reading === 0);
  }

  /** All contents it could read, those that travelled deflated inflated too. */
  everything() {
    const contents = [...this.delivered, ...this.strays.values()].map(([, content]) => content);
    return [...contents, ...contents.map(inflate).filter((text) => text.length > 0)];
  }

  /** Whether it could read this, in one stream. */
  saw(part) {
    return this.everything().some((content) => content.includes(part));
  }

  #listen = ({ message: { case: kind, value: event } }) => {
    if (kind !== 'roomEvent' || event.roomHandle !== this.room.ffiHandle?.handle) return;
    const { case: what, value } = event.message;
    if (what === 'streamHeaderReceived') this.#announced.add(value.header.streamId);
    if (what !== 'streamChunkReceived' || this.#announced.has(value.chunk.streamId)) return;
    const [sender, before] = this.strays.get(value.chunk.streamId) ?? [value.participantIdentity, Buffer.alloc(0)];
    this.strays.set(value.chunk.streamId, [sender, Buffer.concat([before, value.chunk.content])]);
  };

  #read = async (reader, { identity }) => {
    const chunks = [];
    this.#reading++;
    try {
      for await (const chunk of reader) chunks.push(chunk);
    } catch {
      // A stream that breaks off was overheard all the same.
    } finally {
      this.#reading--;
      this.delivered.push([identity, Buffer.concat(chunks)]);
    }
  };

  #openFence = async (reader) => {
    this.#fences.add(reader.info.name);
    // Releases before 0.13.34 have no such method, and nothing comes in this stream.
    await reader.close?.();
  };

  #passFence = (payload, _participant, _kind, topic) => {
    if (topic === FENCE) this.#fences.add(Buffer.from(payload).toString());
  };
}

/** What raw deflate made of it, as far as it goes; empty if it is none. */
function inflate(content) {
  try {
    return inflateRawSync(content, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}
