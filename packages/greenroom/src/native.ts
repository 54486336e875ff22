/** The native addon, loaded once for all copies of this package's modules. */

import { dirname, isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { file, requireAddon, type Addon } from './addon.cjs';
import { loadError, platformPackage } from './platform.js';

/** @internal */
export const native: Addon = load();

function load(): Addon {
  const name = platformPackage();
  try {
    const loaded = requireAddon(name);
    return typeof loaded === 'string' ? loadFile(loaded) : loaded;
  } catch (cause) {
    throw loadError(name, cause, file, 'addon.cjs');
  }
}

/** Loads an addon that a bundler has copied: its URL, or its path beside the bundle. */
function loadFile(name: string): Addon {
  const bundle = file !== undefined && isAbsolute(file) ? file : resolve(process.argv[1] ?? '');
  const module = { exports: {} as Addon };
  process.dlopen(module, name.startsWith('file:') ? fileURLToPath(name) : resolve(dirname(bundle), name));
  return module.exports;
}
