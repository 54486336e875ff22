/** The one mapper between the JSON of all languages (snake_case) and JavaScript's objects (camelCase). */

/** Maps that belong to the agent, its SDK or a participant: their keys are data, left alone. */
const OPAQUE = new Set(['attributes', 'extra', 'options', 'payload', 'publisher', 'subscriber']);

const camels = new Map<string, string>();

/** @internal A value of JSON with the names of JavaScript. */
export function camelCased(value: unknown): unknown {
  return renamed(value, toCamel);
}

/** @internal A value of JavaScript with the names of JSON. */
export function snakeCased(value: unknown): unknown {
  return renamed(value, toSnake);
}

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => renamed(one, rename));
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(value)) {
    result[rename(name)] = OPAQUE.has(name) ? one : renamed(one, rename);
  }
  return result;
}

function toCamel(name: string): string {
  let camel = camels.get(name);
  if (camel === undefined) {
    camel = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    camels.set(name, camel);
  }
  return camel;
}

function toSnake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
