// The declarations under every way to resolve modules and with old compilers, without skipping the checks of libraries.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bin, folder, HERE, node } from './support/project.mjs';

/** A compiler of TypeScript, by what package.json calls it, how it resolves modules, and declarations of its time. */
const WAYS = [
  ['typescript-4.7', 'node', 'commonjs', 'types-node-18'],
  ['typescript-4.7', 'node16', 'node16', 'types-node-18'],
  ['typescript-4.9', 'nodenext', 'nodenext', '@types/node'],
  ['typescript-5.4', 'node10', 'commonjs', '@types/node'],
  ['typescript-5.4', 'bundler', 'esnext', '@types/node'],
  ['typescript', 'node16', 'node16', '@types/node'],
  ['typescript', 'nodenext', 'nodenext', '@types/node'],
  ['typescript', 'bundler', 'esnext', '@types/node'],
];

const USAGE = `
import { open, start, GreenroomError, type Turn } from 'greenroom';
import { capture, Frame } from 'greenroom/audio';
import { host, RemoteSession, SessionTransport, type AgentSessionMessage } from 'greenroom/livekit';

export async function talk(): Promise<string> {
  const session = await start('agent.py', { timeout: 30_000 });
  const turn: Turn = await session.say('hi');
  const calls: string[] = turn.toolCalls.map(({ name }) => name);
  const mic = await capture({ device: 'tone:440' });
  for await (const frame of mic) calls.push(String((frame as Frame).samples));
  await mic.close();
  return calls.join() + turn.reply;
}

export function opened(name: string) {
  return open(name).catch((error: GreenroomError) => error.code === 'no_session');
}

export type Told = Parameters<SessionTransport['sendMessage']>[0] & AgentSessionMessage;
export const names: Array<typeof host | typeof RemoteSession | typeof Frame> = [host, RemoteSession, Frame];
// @ts-expect-error: there is no such export
import { nothing } from 'greenroom';
export { nothing };
`;

/** Compiles the usage in a project that has greenroom and declarations of Node.js; gives what the compiler says. */
function compile(t, [compiler, resolution, module, types]) {
  const path = folder(t);
  mkdirSync(join(path, 'node_modules', '@types'), { recursive: true });
  // Copied: of what is linked, a compiler looks for dependencies where it really is.
  for (const [name, place] of [['greenroom', 'greenroom'], [types, '@types/node'], ['undici-types', 'undici-types']]) {
    cpSync(join(HERE, 'node_modules', name), join(path, 'node_modules', place), { recursive: true });
  }
  writeFileSync(join(path, 'package.json'), JSON.stringify({ type: module === 'commonjs' ? 'commonjs' : 'module' }));
  writeFileSync(join(path, 'usage.ts'), USAGE);
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--target', 'es2022', '--types', 'node'];
  const resolved = ['--module', module, '--moduleResolution', resolution, '--pretty', 'false'];
  const { status, output } = node(path, [bin(`${compiler}/bin/tsc`), ...flags, ...resolved, 'usage.ts']);
  return status === 0 ? '' : output;
}

for (const way of WAYS) {
  const [compiler, resolution] = way;
  test(`types_resolve_with_${compiler}_${resolution}_without_an_sdk`, (t) => assert.equal(compile(t, way), ''));
}

test('publint_is_clean', () => {
  const { status, output } = node(HERE, [bin('publint/src/cli.js'), '--strict', join(HERE, 'node_modules', 'greenroom')]);
  assert.equal(status, 0, output);
  assert.match(output, /All good/);
});

test('arethetypeswrong_is_clean', (t) => {
  // As `npm pack` makes it, so that it needs no more than what is installed.
  const path = folder(t);
  cpSync(join(HERE, 'node_modules', 'greenroom'), join(path, 'package'), { recursive: true });
  execFileSync('tar', ['-czf', join(path, 'greenroom.tgz'), '-C', path, 'package']);
  const { status, output } = node(path, [bin('@arethetypeswrong/cli/dist/index.js'), 'greenroom.tgz', '--no-color', '--no-emoji']);
  assert.equal(status, 0, output);
  assert.match(output, /No problems found/);
});
