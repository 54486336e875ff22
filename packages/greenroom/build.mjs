// Builds dist/ from src/: the same modules twice, as ES modules and as CommonJS, each with its declarations.

import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/package.json').replace('package.json', 'bin/tsc');

rmSync(`${here}dist`, { recursive: true, force: true });
for (const config of ['tsconfig.json', 'tsconfig.cjs.json']) {
  execFileSync(process.execPath, [tsc, '-p', here + config], { stdio: 'inherit' });
}
// The package's own type is "module"; the second half of dist is not.
writeFileSync(`${here}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
