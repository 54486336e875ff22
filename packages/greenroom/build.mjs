// Builds dist/ from src/: the same modules twice, as ES modules and as CommonJS, each with its declarations.

import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
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
await bundleEsm();

/**
 * Node resolves, reads and links each ES module by itself, which for some forty of them is most of what an import takes. So
 * those are put together: one file for each entry of package.json, and a few that hold what entries share, so that a class is
 * one class whichever entry it comes from. The .cjs ones stay, for they are CommonJS in both halves.
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
    external: ['./*.cjs'],
    keepNames: true,
    write: false,
    logLevel: 'warning',
  });
  for (const file of readdirSync(esm)) if (file.endsWith('.js')) rmSync(esm + file);
  for (const { path, contents } of outputFiles) writeFileSync(path, contents);
}
