/** Checks of what callers pass, for those whom no compiler checks. */

import { invalid } from './failures.js';

/** @internal A duration in milliseconds, or null where none is given. */
export function millis(name: string, value: number | undefined): number | null {
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw invalid(`${name} is ${shown(value)}; give a number of milliseconds above 0, or leave it out`);
  }
  return value;
}

/** @internal A channel that may be named: counted from 0. */
export function checkChannel(channel: number | undefined): void {
  if (channel !== undefined && !(Number.isInteger(channel) && channel >= 0 && channel <= 0xffff)) {
    throw invalid(`channel is ${shown(channel)}; it must be a whole number, 0 for the first channel`);
  }
}

/** @internal A text. What is none is not quoted: it may be a secret of another type. */
export function requireText(name: string, value: string): string {
  if (typeof value !== 'string') throw invalid(`${name} is ${typeOf(value)}; give a string`);
  return value;
}

function typeOf(value: unknown): string {
  return value === undefined || value === null || typeof value === 'object' ? shown(value) : `of type ${typeof value}`;
}

/** @internal A value in an error message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' && value !== null ? `of type ${value.constructor?.name ?? 'object'}` : String(value);
}
