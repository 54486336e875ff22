/** The native addon, loaded once for all copies of this package's modules. */

import platform = require('./platform.cjs');
import type * as Native from '../../../bindings-node/native.js';

/** @internal */
export const native: typeof Native = load();

function load(): typeof Native {
  const path = platform.addonPath();
  try {
    return require(path);
  } catch (cause) {
    throw new Error(`greenroom cannot load its native part ${path}: ${(cause as Error).message}`, { cause });
  }
}
