/**
 * The package that carries the native parts for this platform, and messages that help when it
 * cannot be used.
 */

import { existsSync } from 'node:fs';

/** @internal The version of this package, and so of its platform packages. */
export const VERSION = '0.1.0';

/**
 * The platforms that have a package, by its name. packages/pack.mjs builds these, and addon.cts
 * loads them.
 */
const BUILT: readonly string[] = ['greenroom-linux-x64-gnu'];

const BUNDLERS = 'https://github.com/greenroom-dev/greenroom/blob/main/docs/bundlers.md';

/** @internal The name of the package for this platform, such as `greenroom-linux-x64-gnu`. */
export function platformPackage(): string {
  const name = `greenroom-${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return `${name}-${usesMusl() ? 'musl' : 'gnu'}`;
  if (process.platform === 'win32') return `${name}-msvc`;
  return name;
}

/**
 * @internal The error of a platform package that cannot be loaded. `file` is the module that tried,
 * whose name is `usual` unless a bundler has put it elsewhere.
 */
export function loadError(name: string, cause: unknown, file: string | undefined, usual: string): Error {
  return new Error(explanation(name, cause, file, usual), { cause });
}

function explanation(name: string, cause: unknown, file: string | undefined, usual: string): string {
  const platform = `${process.platform} ${process.arch}`;
  if (!BUILT.includes(name)) {
    return (
      `greenroom ${VERSION} has no native build for ${platform} (it would be the package ${name}). ` +
      `Built are: ${BUILT.join(', ')}`
    );
  }
  const { code, message } = cause as NodeJS.ErrnoException;
  const isMissing = code === 'MODULE_NOT_FOUND';
  if (file === undefined || !file.endsWith(usual)) {
    return (
      `greenroom ${VERSION} cannot load its native part, the package ${name}, from the bundle ` +
      `${file ?? process.argv[1]}: ${firstLine(message)}. Keep greenroom out of the bundle and install it where the ` +
      `bundle runs: \`external: ['greenroom']\` in esbuild and rollup, \`externals: { greenroom: 'commonjs greenroom' }\` ` +
      `in webpack, \`serverExternalPackages: ['greenroom']\` in Next.js. See ${BUNDLERS}`
    );
  }
  if (!isMissing) return `greenroom ${VERSION} cannot load its native part, the package ${name}: ${message}`;
  return (
    `greenroom cannot find its native part for ${platform}, the package ${name}. It is an optional dependency of ` +
    `greenroom: install without --omit=optional (or --no-optional), and where package-lock.json or node_modules were ` +
    `made on another platform, delete both and install again. Or add it by itself: npm install ${name}@${VERSION}`
  );
}

function firstLine(message: unknown): string {
  return String(message).split('\n', 1)[0] as string;
}

/**
 * Whether this node was built for musl: only then does musl's loader stand where its programs
 * expect it.
 */
function usesMusl(): boolean {
  const arch = { arm64: 'aarch64', x64: 'x86_64' }[process.arch as string] ?? process.arch;
  if (!existsSync(`/lib/ld-musl-${arch}.so.1`)) return false;
  // Both C libraries may be installed. The report names the one of this process, and is slow to
  // make.
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}
