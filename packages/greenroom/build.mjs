// Builds dist/ from src/: the same modules twice, as ES modules and as CommonJS, each with its declarations.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/package.json').replace('package.json', 'bin/tsc');

rmSync(`${here}dist`, { recursive: true, force: true });
for (const config of ['tsconfig.json', 'tsconfig.cjs.json']) {
  execFileSync(process.execPath, [tsc, '-p', here + config], { stdio: 'inherit' });
}
// The package's own type is "module"; the second half of dist is not.
writeFileSync(`${here}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
allowUnknown();
await bundleEsm();

/**
 * Declarations compile without skipLibCheck also where a part of them is not known: the types of the
 * SDK's messages, which are those of @livekit/protocol, and `Symbol.asyncDispose`, which neither old
 * compilers nor old @types/node have. tsc drops such comments from the sources.
 */
function allowUnknown() {
  for (const half of ['esm', 'cjs']) {
    for (const file of readdirSync(`${here}dist/${half}`).filter((name) => name.endsWith('.d.ts'))) {
      const path = `${here}dist/${half}/${file}`;
      const text = readFileSync(path, 'utf8');
      const allowed = text
        .replace(/^import .* from '@livekit\/protocol';$/gm, '// @ts-ignore: an optional peer dependency\n$&')
        .replace(/^ *(declare const asyncDispose:|\[asyncDispose\]\().*$/gm, '// @ts-ignore: not known to each compiler\n$&');
      if (allowed !== text) writeFileSync(path, allowed);
    }
  }
}

/**
 * Node resolves, reads and links each ES module by itself, which for some forty of them is most of what an import takes. So
 * those are put together: one file for each entry of package.json, and a few that hold what entries share, so that a class is
 * one class whichever entry it comes from. addon.cjs stays, for it is CommonJS in both halves.
 */
async function bundleEsm() {
  const esm = `${here}dist/esm/`;
  const { outputFiles } = await build({
    entryPoints: ['index', 'audio', 'livekit'].map((entry) => `${esm}${entry}.js`),
    outdir: esm,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['./addon.cjs'],
    keepNames: true,
    write: false,
    logLevel: 'warning',
  });
  for (const file of readdirSync(esm)) if (file.endsWith('.js')) rmSync(esm + file);
  for (const { path, contents } of outputFiles) writeFileSync(path, contents);
}
