/** Runtime argument checks for untyped JavaScript callers. */

import { invalid } from './failures.js';

/** @internal A duration in milliseconds, or null where none is given. */
export function millis(name: string, value: number | undefined): number | null {
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw invalid(`${name} is ${shown(value)}; pass a number of milliseconds above 0, or leave it out`);
  }
  return value;
}

/** @internal A channel that may be named: counted from 0. */
export function checkChannel(channel: number | undefined): void {
  if (channel !== undefined && !(Number.isInteger(channel) && channel >= 0 && channel <= 0xffff)) {
    throw invalid(`channel is ${shown(channel)}; it must be a whole number, 0 for the first channel`);
  }
}

/** @internal A text. */
export function requireText(name: string, value: string): string {
  if (typeof value !== 'string') throw invalid(`${name} is ${shown(value)}; pass a string`);
  return value;
}

/** @internal A text that may hold a secret: what is no text is not quoted either. */
export function requireSecret(name: string, value: string): string {
  if (typeof value === 'string') return value;
  const isQuoted = value === undefined || value === null || typeof value === 'object';
  throw invalid(`${name} is ${isQuoted ? shown(value) : `of type ${typeof value}`}; pass a string`);
}

/** @internal A value in an error message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' && value !== null ? `of type ${value.constructor?.name ?? 'object'}` : String(value);
}

/** What an option may be: its name for people, and whether a value is one. */
const KINDS = {
  text: ['a string', (value: unknown) => typeof value === 'string'],
  flag: ['true or false', (value: unknown) => typeof value === 'boolean'],
  number: ['a number', (value: unknown) => typeof value === 'number'],
  function: ['a function', (value: unknown) => typeof value === 'function'],
  texts: ['an array of strings', isTexts],
  object: ['an object', isRecord],
  textObject: [
    'an object whose values are strings',
    (value: unknown) => isRecord(value) && Object.values(value).every((one) => one === undefined || typeof one === 'string'),
  ],
  textsOrObject: ['an array of strings, or an object', (value: unknown) => isTexts(value) || isRecord(value)],
  signal: [
    'an AbortSignal',
    // As `fetch` takes them, null is none.
    (value: unknown) => value === null || (typeof value === 'object' && 'aborted' in value && 'addEventListener' in value),
  ],
  logger: [
    'a logger, such as console, or false',
    (value: unknown) => value === false || value === null || typeof value === 'object' || typeof value === 'function',
  ],
  /** Its call checks it, with a message of its own. */
  own: ['', () => true],
} as const satisfies Record<string, readonly [what: string, isOne: (value: unknown) => boolean]>;

/** @internal The kind of each option of a call: the compiler misses none. */
export type Kinds<T> = Readonly<Record<keyof T, keyof typeof KINDS>>;

/**
 * @internal Throws unless the options of a call are an object, and each that is given is of its kind.
 */
export function checkOptions<T extends object>(call: string, options: T | null | undefined, kinds: Kinds<T>): void {
  if (options === undefined) return;
  if (!isRecord(options)) throw invalid(`the options of ${call} are ${kindOf(options)}; pass an object with ${Object.keys(kinds).join(', ')}`);
  for (const name of Object.keys(kinds) as (keyof T & string)[]) checkOption(call, name, options[name], kinds[name]);
}

/**
 * @internal Throws unless an argument is of a kind; nothing may be given. The value is never shown: it may be a secret.
 */
export function checkOption(call: string, name: string, value: unknown, kind: keyof typeof KINDS): void {
  const [what, isOne] = KINDS[kind];
  if (value === undefined || isOne(value)) return;
  throw invalid(`${call}: ${name} is ${kindOf(value)}; pass ${what}, or leave it out`);
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/**
 * Whether something is an object that is there for its fields: no function, array, Map, promise,
 * date, and so on.
 */
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  // By its tag, which is the same in every realm.
  return typeof value === 'object' && value !== null && Object.prototype.toString.call(value) === '[object Object]';
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return 'a function';
  if (isRecord(value)) return 'an object with other fields';
  if (typeof value === 'object') return `of type ${Object.prototype.toString.call(value).slice('[object '.length, -1)}`;
  return `of type ${typeof value}`;
}
