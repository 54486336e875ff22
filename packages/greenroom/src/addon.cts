/**
 * What only CommonJS can do, in both halves of this package: require an addon, and know its own file. Nothing else is
 * here, since a bundle of ES modules has no `require`, not even for modules of Node.js.
 */

import type * as Native from '../../../bindings-node/native.js';

/** @internal What the addon exports. */
export type Addon = typeof Native;

/** @internal This very file; undefined in a bundle of ES modules, and made up in some others. */
export const file: string | undefined = typeof __filename === 'string' ? __filename : undefined;

/**
 * @internal Requires the addon of a platform. Every name is spelled out, so that bundlers and tracers of files see it;
 * some loaders of bundlers give the name of the file to which they have copied it.
 */
export function requireAddon(name: string): Addon | string {
  switch (name) {
    case 'greenroom-linux-x64-gnu':
      return require('greenroom-linux-x64-gnu'); // a bundler that stops here needs `external: ['greenroom']`
    default:
      throw new Error('there is no such package');
  }
}
