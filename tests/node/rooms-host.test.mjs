// Our host in place of the SDK's own, in a real room.

import { after, before } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import { gateCases } from './support/gate-cases.mjs';
import { startServer } from './support/livekit-server.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

gateCases('host', () => server);
