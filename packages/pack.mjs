// Packs the npm packages:
// `node pack.mjs --version V --addon FILE --program FILE --notices FOLDER --out FOLDER`.
//
// `greenroom` is the TypeScript facade. The native parts, the addon and the command, are in one
// package for each platform, which npm picks by its os, cpu and libc; the facade names them all as
// optional dependencies of its very version. So no install script runs, and no user downloads
// another platform's binaries. The manifests of the platform packages, and that list, are written
// here alone; src/platform.ts and addon.cts spell the same names out.

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

/** What is said of the crates that are linked into the native parts, see .ci/third-party. */
const NOTICES = 'THIRD-PARTY-NOTICES.txt';
const BILLS = ['greenroom-cli.cdx.json', 'greenroom-node.cdx.json'];

const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options } = parseArgs({
  options: Object.fromEntries(['version', 'addon', 'program', 'notices', 'out'].map((name) => [name, { type: 'string' }])),
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
  checkSpelledOut();
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

/** Throws unless the facade loads the packages of these platforms, at this version. */
function checkSpelledOut() {
  const [addon, platform] = ['addon.cjs', 'platform.js'].map((name) =>
    readFileSync(join(here, 'greenroom', 'dist', 'cjs', name), 'utf8'),
  );
  const required = [...addon.matchAll(/require\(['"](greenroom-[\w-]+)['"]\)/g)].map(([, name]) => name);
  const names = Object.keys(PLATFORMS).map((suffix) => `greenroom-${suffix}`);
  if (required.join() !== names.join() || names.some((name) => !platform.includes(`'${name}'`))) {
    throw new Error(`src/addon.cts and platform.ts have to name ${names.join(', ')}, as PLATFORMS here does`);
  }
  if (!platform.includes(`'${options.version}'`)) throw new Error(`src/platform.ts is not of version ${options.version}`);
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
    files: ['greenroom.node', basename(options.program), NOTICES, ...BILLS],
  };
  const folder = stage(name, manifest);
  copyFileSync(options.addon, join(folder, 'greenroom.node'));
  copyFileSync(options.program, join(folder, basename(options.program)));
  chmodSync(join(folder, basename(options.program)), 0o755);
  for (const file of [NOTICES, ...BILLS]) copyFileSync(join(options.notices, file), join(folder, file));
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
