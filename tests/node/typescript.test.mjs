// An agent in TypeScript, on a Node that takes the types out by itself. (That an older one is refused: bad-input.test.mjs.)

import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from 'greenroom';
import { ROOT, folder } from './support/agents.mjs';

/** A newer Node, as the registry ships it. */
const newer = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);

test('an agent in TypeScript holds a conversation', async (t) => {
  const path = folder(t);
  const example = join(ROOT, 'examples', 'node');
  symlinkSync(join(example, 'node_modules'), join(path, 'node_modules'));
  writeFileSync(join(path, 'package.json'), '{ "private": true, "type": "module" }');
  const typed = 'type Cup = { size: number };\nexport const cup: Cup = { size: 3 } satisfies Cup;\n';
  writeFileSync(join(path, 'agent.ts'), readFileSync(join(example, 'agent.mjs'), 'utf8') + typed);
  const session = await start(join(path, 'agent.ts'), { node: newer });
  try {
    assert.equal((await session.say('weather')).reply, 'The tool said: Sunny in Tokyo');
  } finally {
    await session.close();
  }
});
