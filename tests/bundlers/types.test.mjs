// The declarations under every way to resolve modules and with old compilers, without skipping the checks of libraries.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bin, folder, HERE, node } from './support/project.mjs';

/** A compiler of TypeScript, by what package.json calls it, and how it is told to resolve modules. */
const WAYS = [
  ['typescript-4.7', 'node', 'commonjs'],
  ['typescript-4.7', 'node16', 'node16'],
  ['typescript-4.9', 'node', 'esnext'],
  ['typescript-4.9', 'nodenext', 'nodenext'],
  ['typescript-5.4', 'node10', 'commonjs'],
  ['typescript-5.4', 'node16', 'node16'],
  ['typescript-5.4', 'bundler', 'esnext'],
  ['typescript', 'node16', 'node16'],
  ['typescript', 'bundler', 'esnext'],
  ['typescript', 'nodenext', 'nodenext'],
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
  for await (const frame of mic) calls.push(String((frame satisfies_Frame).samples));
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
`.replace('frame satisfies_Frame', 'frame as Frame');

/** Compiles the usage in a project that has greenroom and these packages besides; gives what the compiler says. */
function compile(t, compiler, resolution, module, packages) {
  const path = folder(t);
  mkdirSync(join(path, 'node_modules', '@livekit'), { recursive: true });
  // Copied: of what is linked, a compiler looks for dependencies where it really is.
  cpSync(join(HERE, 'node_modules', 'greenroom'), join(path, 'node_modules', 'greenroom'), { recursive: true });
  for (const [name, place] of Object.entries(packages)) symlinkSync(place, join(path, 'node_modules', name));
  writeFileSync(join(path, 'package.json'), JSON.stringify({ type: module === 'commonjs' ? 'commonjs' : 'module' }));
  writeFileSync(join(path, 'usage.ts'), USAGE);
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--target', 'es2022', '--types', 'node'];
  const resolved = ['--module', module, '--moduleResolution', resolution, '--pretty', 'false'];
  return node(path, [bin(`${compiler}/bin/tsc`), ...flags, ...resolved, 'usage.ts']).stdout;
}

const NODE_TYPES = { '@types': join(HERE, 'node_modules', '@types') };

for (const [compiler, resolution, module] of WAYS) {
  test(`types_resolve_with_${compiler}_${resolution}_without_an_sdk`, (t) => {
    assert.equal(compile(t, compiler, resolution, module, NODE_TYPES), '');
  });
}

test('publint_is_clean', () => {
  const { status, output } = node(HERE, [bin('publint/src/cli.js'), '--strict', join(HERE, 'node_modules', 'greenroom')]);
  assert.equal(status, 0, output);
  assert.match(output, /All good/);
});
