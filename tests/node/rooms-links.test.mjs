// What links a controller and an agent goes away in the middle of a turn: nothing is lost, or the loss is told at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { collect, until } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';
import { proxy } from './support/proxy.mjs';
import { agentIn, pair, Wire } from './support/rooms.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

/** Resolves when the agent works on what it was told. */
async function busy(agent) {
  await until('the agent thinks', () => agent.session.agentState === 'thinking');
}

for (const guard of ['host', 'gate']) {
  for (const whose of ['agent', 'boss']) {
    test(`${guard}: a websocket of the ${whose}'s that is cut loses nothing`, async (t) => {
      const cuts = await proxy(t, server);
      const place = venue(t, server);
      const detour = venue(t, cuts);
      detour.name = place.name;
      const agent = await agentIn(t, whose === 'agent' ? detour : place, { guard });
      const room = await (whose === 'boss' ? detour : place).connect('boss', { grant: true });
      await place.gather(agent.room, room);
      const session = await greenroom.attach(room);
      const release = agent.model.hold();
      const turn = session.say('hold the line');
      await busy(agent);
      const { accepted } = cuts;
      cuts.cut();
      release();
      assert.equal((await turn).reply, 'echo: hold the line');
      assert.equal((await session.say('and on')).reply, 'echo: and on');
      await until('it is connected again', () => cuts.accepted > accepted);
      assert.equal((await session.say('after')).reply, 'echo: after');
      await session.close();
      const told = await collect(session.events());
      const texts = told.filter(({ type }) => type === 'message').map(({ text }) => text);
      assert.deepEqual(texts, ['hold the line', 'and on', 'after'].flatMap((text) => [text, `echo: ${text}`]));
      assert.equal(told.at(-1).reason, 'closed');
    });
  }

  test(`${guard}: a server that is restarted in the middle of a turn ends it, and the Rooms come back guarded`, async (t) => {
    const own = await startServer();
    t.after(() => own.stop());
    const { venue: place, agent, room } = await pair(t, own, guard);
    const session = await greenroom.attach(room);
    const release = agent.model.hold();
    const turn = session.say('hold the line', { timeout: 60_000 });
    const failed = assert.rejects(turn, greenroom.AgentGone);
    await busy(agent);
    await own.stop();
    await own.start();
    await failed;
    await session.close();
    release();
    const isBack = (one, other) => one.isConnected && one.remoteParticipants.has(other);
    await until('both are back', () => isBack(agent.room, 'boss') && isBack(room, 'agent'), { within: 60_000 });
    const again = await greenroom.attach(room);
    assert.equal((await again.say('again')).reply, 'echo: again');
    await again.close();
    const guest = new Wire(await place.connect('guest'));
    await place.gather(agent.room, guest.room);
    assert.equal((await guest.answer('g-1')).error, 'permission_denied');
  });

  for (const [what, end, reason] of [
    ['the room is deleted', (place) => place.delete(), 'room_disconnected'],
    ['the agent is removed', (place) => place.remove('agent'), 'agent_left'],
  ]) {
    test(`${guard}: ${what}, and the turn that runs ends in an error`, async (t) => {
      const { venue: place, agent, room } = await pair(t, server, guard);
      const session = await greenroom.attach(room);
      const release = agent.model.hold();
      const turn = session.say('hold the line', { timeout: 60_000 });
      await busy(agent);
      await end(place);
      await assert.rejects(turn, greenroom.AgentGone);
      await assert.rejects(session.ping(), greenroom.AgentGone);
      assert.equal((await collect(session.events())).at(-1).reason, reason);
      await session.close();
      await until("the agent's Room is disconnected", () => !agent.room.isConnected);
      // The agent's side lives on, without a room: it takes another turn, which nobody hears of.
      release();
      await until('the turn is over', () => agent.session.agentState === 'listening');
      await agent.session.run({ userInput: 'hello?' }).wait();
      assert.equal(agent.guarding.status().peers, 0);
      if (reason !== 'agent_left') return;
      // The Room is its owner's: another agent may come.
      await agentIn(t, place, { guard, identity: 'agent-2' });
      const another = await greenroom.attach(room);
      assert.equal((await another.say('hi')).reply, 'echo: hi');
      await another.close();
    });
  }
}
