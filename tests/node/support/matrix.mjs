// The matrix of tests/gate_cases.json as tests: what everybody in a room receives, with a real agent behind each of our guards.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import { SITUATIONS, stage } from './cases.mjs';
import { startServer } from './livekit-server.mjs';

let server;

/** The situations with one kind of Room to ask with: `sdk` or `native`, ours. */
export function matrix(client) {
  before(async () => (server = await startServer()));
  after(async () => {
    await dispose();
    await server.stop();
  });
  // Each has a room of its own, so they do not meet.
  describe('everybody receives what the matrix says', { concurrency: 2 }, () => {
    for (const about of SITUATIONS.filter((about) => about.client === client)) situationTests(about);
  });
}

function situationTests({ situation, guard, client, requests }) {
  describe(`${situation.name}, ${guard}, ${client}`, { concurrency: 1 }, () => {
    const endings = [];
    let opened;
    before(async () => {
      opened = await stage({ after: (ending) => endings.push(ending) }, server, { situation, guard, client });
    });
    after(async () => {
      for (const ending of endings) await ending();
    });
    for (const request of requests) {
      test(`${situation.name}, ${guard}, ${client}: ${request}`, async () => {
        const { received, expected, overheard, turns, expectedTurns } = await opened.play(request);
        assert.deepEqual(received, expected);
        assert.deepEqual(overheard, []);
        assert.equal(turns, expectedTurns);
      });
    }
  });
}
