// Packs the npm packages: `node pack.mjs --version V --addon FILE --program FILE --out FOLDER`.
//
// `greenroom` is the TypeScript facade. The native parts, the addon and the command, are in one package for each
// platform, which npm picks by its os, cpu and libc; the facade names them all as optional dependencies of its very
// version. So no install script runs, and nobody downloads another platform's binaries. The manifests of the platform
// packages, and that list, are written here alone.

import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

// The platforms that have a package: npm's os, cpu and libc by the suffix of its name.
const PLATFORMS = {
  'linux-x64-gnu': { os: ['linux'], cpu: ['x64'], libc: ['glibc'] },
};

const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options } = parseArgs({
  options: Object.fromEntries(['version', 'addon', 'program', 'out'].map((name) => [name, { type: 'string' }])),
});
const staging = mkdtempSync(join(tmpdir(), 'greenroom-pack-'));
try {
  pack(stageFacade());
  pack(stagePlatform(thisPlatform()));
} finally {
  rmSync(staging, { recursive: true });
}

function stageFacade() {
  const manifest = JSON.parse(readFileSync(join(here, 'greenroom', 'package.json'), 'utf8'));
  if (manifest.version !== options.version) {
    throw new Error(`packages/greenroom/package.json has version ${manifest.version}, Cargo.toml ${options.version}`);
  }
  delete manifest.scripts;
  delete manifest.devDependencies;
  manifest.optionalDependencies = Object.fromEntries(
    Object.keys(PLATFORMS).map((suffix) => [`greenroom-${suffix}`, options.version]),
  );
  const folder = stage('greenroom', manifest);
  cpSync(join(here, 'greenroom', 'dist'), join(folder, 'dist'), { recursive: true });
  copyFileSync(join(here, 'greenroom', 'README.md'), join(folder, 'README.md'));
  return folder;
}

function stagePlatform(suffix) {
  const { repository, homepage, license, engines } = JSON.parse(
    readFileSync(join(here, 'greenroom', 'package.json'), 'utf8'),
  );
  const name = `greenroom-${suffix}`;
  const manifest = {
    name,
    version: options.version,
    description: `The native parts of greenroom for ${suffix}.`,
    license,
    homepage,
    repository,
    engines,
    ...PLATFORMS[suffix],
    main: 'greenroom.node',
    files: ['greenroom.node', basename(options.program)],
  };
  const folder = stage(name, manifest);
  copyFileSync(options.addon, join(folder, 'greenroom.node'));
  copyFileSync(options.program, join(folder, basename(options.program)));
  chmodSync(join(folder, basename(options.program)), 0o755);
  const about = 'The native parts of the package greenroom, which installs this one.';
  writeFileSync(join(folder, 'README.md'), `# ${name}\n\n${about}\n`);
  return folder;
}

function stage(name, manifest) {
  const folder = join(staging, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(join(here, '..', 'LICENSE'), join(folder, 'LICENSE'));
  return folder;
}

function pack(folder) {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', resolve(options.out)], { cwd: folder, stdio: 'inherit' });
}

function thisPlatform() {
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  const libc = process.platform === 'linux' ? (glibc ? '-gnu' : '-musl') : process.platform === 'win32' ? '-msvc' : '';
  const suffix = `${process.platform}-${process.arch}${libc}`;
  if (!(suffix in PLATFORMS)) throw new Error(`there is no platform package for ${suffix}; add it to packages/pack.mjs`);
  return suffix;
}
