/**
 * Type checks that hold for values of another realm and of another copy of this package.
 *
 * Test runners evaluate modules in a `vm` context, whose `Error`, `Int16Array` and `Map` are not
 * those of Node.js and of its addons; and a process may load this package as ES module and as
 * CommonJS, each with classes of its own. `instanceof` is false for what crosses either border.
 */

import { fileURLToPath } from 'node:url';
import { types } from 'node:util';

const ordinaryHasInstance = Function.prototype[Symbol.hasInstance];

/**
 * @internal Makes `instanceof` true for instances that another copy of this package made of the
 * class of that name. Subclasses, and objects that only look like it, are distinguished as usual.
 */
export function shareClass(shared: { prototype: object }, name: string): void {
  Object.defineProperty(shared.prototype, brand(name), { value: true });
  Object.defineProperty(shared, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      return ordinaryHasInstance.call(this, value) || (this === shared && isShared(value, name));
    },
  });
}

/**
 * @internal Whether a value is an instance of the class that any copy of this package shares by that name.
 */
export function isShared(value: unknown, name: string): boolean {
  // The brand is the prototype's own, and a prototype is no instance.
  return typeof value === 'object' && value !== null && brand(name) in value && !Object.hasOwn(value, brand(name));
}

function brand(name: string): symbol {
  return Symbol.for(`greenroom.${name}`);
}

/** @internal Whether a value is an error, of any realm. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/** @internal Whether a value is a `URL`, of any realm or library. */
export function isUrl(value: unknown): value is URL {
  if (value instanceof URL) return true;
  const { href, protocol } = (typeof value === 'object' && value !== null ? value : {}) as Partial<URL>;
  return typeof href === 'string' && typeof protocol === 'string';
}

/** @internal The path of a file, given it or its URL. */
export function filePath(file: string | URL): string {
  return isUrl(file) ? fileURLToPath(file.href) : file;
}
