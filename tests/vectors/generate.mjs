// Write javascript.json: messages made by LiveKit's own JavaScript protobuf library, and its reading of the raw bytes in
// python.json (so run generate.py first).
//
//     npm install --no-save       in this folder, or in any other that has @livekit/protocol
//     node PATH/generate.mjs [OUT_DIR]
//
// The library is taken from the folder that it is started in. Running it again gives the same bytes. README.md says what
// a vector holds.

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as samples from './samples.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(process.cwd(), 'package.json'));
const { AgentSession } = require('@livekit/protocol');
const Envelope = AgentSession.AgentSessionMessage;

function main() {
  const python = readJson('python.json');
  write(join(process.argv[2] ?? here, 'javascript.json'), {
    vectors: [...vectors(python)],
    malformed: python.malformed.map(({ name, hex }) => ({ name, hex, rejected: isRejected(hex) })),
  });
}

function* vectors(python) {
  yield vector('minimal', new Envelope());
  for (const [path, message] of samples.minimal(Envelope)) yield vector(`minimal/${path}`, message);
  for (const [path, message] of samples.filled(Envelope)) {
    // The responses that fail are in edges.json.
    if (message.message.case === 'response') message.message.value.error = undefined;
    yield vector(`full/${path}`, message);
  }
  for (const [path, message] of samples.enums(Envelope)) yield vector(`enum/${path}`, message);
  for (const { name, json } of readJson('edges.json')) yield vector(name, Envelope.fromJson(json));
  for (const { name, source, hex } of python.vectors) {
    if (source === 'spliced') yield decoded(name, Buffer.from(hex, 'hex'), source);
  }
}

/** A vector whose bytes are the library's. */
function vector(name, message) {
  return decoded(name, message.toBinary(), 'library');
}

/** A vector whose expected decoding is the library's. */
function decoded(name, bytes, source) {
  const json = Envelope.fromBinary(bytes).toJson({ useProtoFieldName: true });
  return { name, source, hex: Buffer.from(bytes).toString('hex'), json: canonical(json) };
}

function isRejected(hex) {
  try {
    Envelope.fromBinary(Buffer.from(hex, 'hex'));
    return false;
  } catch {
    return true;
  }
}

/** The same JSON at every run and in both languages: keys in order. */
function canonical(value) {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).sort().map(([key, inner]) => [key, canonical(inner)]));
}

/** One line for each vector, so that a change shows as the lines it touches. */
function write(path, sections) {
  const versions = { '@livekit/protocol': versionOf('@livekit/protocol'), '@bufbuild/protobuf': versionOf('@bufbuild/protobuf') };
  const parts = [`"made_with": ${JSON.stringify(versions)}`];
  for (const [section, entries] of Object.entries(sections)) {
    const names = new Set(entries.map(({ name }) => name));
    if (names.size < entries.length) throw new Error(`two entries of one name in ${section}`);
    parts.push(`"${section}": [\n${entries.map((entry) => JSON.stringify(entry)).join(',\n')}\n]`);
  }
  writeFileSync(path, `{\n${parts.join(',\n')}\n}\n`);
}

/** The version of an installed package, which does not export its package.json. */
function versionOf(name) {
  const entry = require.resolve(name);
  const root = entry.slice(0, entry.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length);
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}

function readJson(name) {
  return JSON.parse(readFileSync(join(here, name), 'utf8'));
}

main();
