/** The package that carries the native parts for this platform, and a message that helps when it is not there. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a platform package holds, by file name. */
const ADDON = 'greenroom.node';
const PROGRAM = process.platform === 'win32' ? 'greenroom.exe' : 'greenroom';

/** The addon's path. Throws an error that names the missing package. */
export function addonPath(): string {
  return join(platformFolder(), ADDON);
}

/** The native command's path. Throws an error that names the missing package. */
export function programPath(): string {
  return join(platformFolder(), PROGRAM);
}

function platformFolder(): string {
  const name = platformPackage();
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch (cause) {
    throw new Error(missing(name), { cause });
  }
}

/** The name of the package for this platform, such as `greenroom-linux-x64-gnu`. */
function platformPackage(): string {
  const name = `greenroom-${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return `${name}-${usesMusl() ? 'musl' : 'gnu'}`;
  if (process.platform === 'win32') return `${name}-msvc`;
  return name;
}

/** Whether this node was built for musl: only then does musl's loader stand where its programs expect it. */
function usesMusl(): boolean {
  const arch = { arm64: 'aarch64', x64: 'x86_64' }[process.arch as string] ?? process.arch;
  if (!existsSync(`/lib/ld-musl-${arch}.so.1`)) return false;
  // Both C libraries may be installed. The report tells which one this process runs on, and is slow to make.
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}

function missing(name: string): string {
  const platform = `${process.platform} ${process.arch}`;
  const { version, optionalDependencies = {} } = ownManifest();
  if (!(name in optionalDependencies)) {
    const built = Object.keys(optionalDependencies).join(', ');
    return `greenroom ${version} has no native build for ${platform} (it would be the package ${name}). Built are: ${built}`;
  }
  return (
    `greenroom cannot find its native part for ${platform}, the package ${name}. It is an optional dependency of ` +
    `greenroom: install without --omit=optional (or --no-optional), and where package-lock.json or node_modules were ` +
    `made on another platform, delete both and install again. Or add it by itself: npm install ${name}@${version}`
  );
}

function ownManifest(): { version: string; optionalDependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8'));
}
