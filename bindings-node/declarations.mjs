// Writes the addon's declarations for TypeScript: `node declarations.mjs DEFINITIONS >native.d.ts`.
//
// DEFINITIONS is what napi-derive leaves where NAPI_TYPE_DEF_TMP_FOLDER points while it compiles the crate: a line of
// JSON for each item, with its kind, its name, its documentation as a comment and its body in TypeScript.

import { readFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
const items = readFileSync(file, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line));

// A class is one item for its fields and one for each block of its methods.
const blocks = Map.groupBy?.(items, bodyOwner) ?? groupBy(items, bodyOwner);
const declarations = [...blocks.keys()].sort().map((name) => declare(blocks.get(name)));
process.stdout.write(`// Generated from src/ by \`make gen\`.\n\n${declarations.join('\n\n')}\n`);

function bodyOwner(item) {
  return item.original_name ?? item.name;
}

function groupBy(list, keyOf) {
  const groups = new Map();
  for (const item of list) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

function declare(parts) {
  const head = parts.find((part) => part.kind !== 'impl' && part.kind !== 'extends') ?? parts[0];
  const { kind, name, def, js_doc: doc = '' } = head;
  switch (kind) {
    case 'fn':
      return `${doc}export declare ${def}`;
    case 'const':
      return `${doc}export declare const ${def}`;
    case 'type':
      return `${doc}export type ${name} = ${def}`;
    case 'interface':
      return `${doc}export interface ${name} {\n${indent(def)}\n}`;
    case 'enum':
      return `${doc}export declare enum ${name} {\n${indent(def)}\n}`;
    case 'string_enum':
      return `${doc}export type ${name} = ${def}`;
    case 'struct':
      return `${doc}export declare class ${name} {\n${indent(parts.map((part) => part.def).filter(Boolean).join('\n'))}\n}`;
    default:
      throw new Error(`${file}: ${name} is of the kind ${kind}, which declarations.mjs does not know`);
  }
}

function indent(body) {
  return body
    .trimEnd()
    .split('\n')
    // A method comes with a space before it, which the lines of its comment rightly have.
    .map((line) => (line === '' ? '' : `  ${line.replace(/^ (?!\*)/, '')}`))
    .join('\n');
}
