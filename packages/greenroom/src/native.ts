/** The native addon, loaded once for all copies of this package's modules. */

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { file, requireAddon, type Addon } from './addon.cjs';
import { loadError, platformPackage } from './platform.js';

/** @internal */
export const native: Addon = load();

function load(): Addon {
  const name = platformPackage();
  try {
    const loaded = requireAddon(name);
    if (typeof loaded !== 'string') return loaded;
    const bundle = resolve(file ?? process.argv[1] ?? '');
    return createRequire(bundle)(resolve(bundle, '..', loaded)) as Addon;
  } catch (cause) {
    throw loadError(name, cause, file, 'addon.cjs');
  }
}
