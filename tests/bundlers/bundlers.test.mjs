// Programs that use the package, put together by bundlers and by tools that trace files, as docs/bundlers.md says.

import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'node:test';
import commonjs from '@rollup/plugin-commonjs';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { nodeFileTrace } from '@vercel/nft';
import * as esbuild from 'esbuild';
import { rollup } from 'rollup';
import webpack from 'webpack';
import { APP, bin, folder, HERE, node, project } from './support/project.mjs';

const { version } = JSON.parse(readFileSync(join(HERE, 'node_modules', 'greenroom', 'package.json'), 'utf8'));
const PLATFORM = 'greenroom-linux-x64-gnu';

/** How each bundler is told to make one file of an entry; what it prints of errors is what it rejects with. */
const BUNDLERS = {
  async esbuild({ entry, outfile, format, external = [], loader }) {
    await esbuild.build({ entryPoints: [entry], outfile, format, external, loader, bundle: true, platform: 'node', logLevel: 'silent' });
  },
  async webpack({ entry, outfile, format, external = [], rules = [] }) {
    const isModule = format === 'esm';
    const compiler = webpack({
      mode: 'production',
      target: 'node',
      entry,
      experiments: { outputModule: isModule },
      module: { rules },
      externals: Object.fromEntries(
        ['greenroom', 'greenroom/audio', PLATFORM]
          .filter((name) => external.some((one) => name === one || name.startsWith(`${one}/`)))
          .map((name) => [name, `${isModule ? 'module' : 'commonjs'} ${name}`]),
      ),
      output: { path: dirname(outfile), filename: outfile.slice(dirname(outfile).length + 1), ...(isModule && { library: { type: 'module' } }) },
    });
    const stats = await promisify(compiler.run.bind(compiler))();
    await promisify(compiler.close.bind(compiler))();
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true, errorDetails: true }));
  },
  async rollup({ entry, outfile, format, external = [] }) {
    const isExternal = (id) => external.some((one) => id === one || id.startsWith(`${one}/`));
    const bundle = await rollup({
      input: entry,
      external: isExternal,
      plugins: [nodeResolve({ preferBuiltins: true }), commonjs({ ignoreDynamicRequires: true })],
      onwarn() {},
    });
    await bundle.write({ file: outfile, format, inlineDynamicImports: true });
    await bundle.close();
  },
};

/** Runs a bundle. */
function run(file) {
  return node(dirname(file), [file]);
}

/** The bundle does what the program does. */
function works(file) {
  const { status, stdout, output } = run(file);
  assert.deepEqual([status, stdout.trim()], [0, JSON.stringify([version, true, 160])], output);
}

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  for (const [format, end] of [
    ['cjs', 'cjs'],
    ['esm', 'mjs'],
  ]) {
    test(`${name}_${format}_with_greenroom_external_works`, async (t) => {
      const path = project(t, 'bundles');
      const outfile = join(path, 'out', `bundle.${end}`);
      await bundle({ entry: join(path, 'app.mjs'), outfile, format, external: ['greenroom'] });
      works(outfile);
    });
  }
}

for (const [loader, format, end] of [
  ['copy', 'cjs', 'cjs'],
  ['file', 'cjs', 'cjs'],
  ['file', 'esm', 'mjs'],
]) {
  test(`esbuild_${format}_with_${loader}_loader_works_without_node_modules`, async (t) => {
    const path = project(t, 'bundles');
    const outfile = join(folder(t), `bundle.${end}`);
    await BUNDLERS.esbuild({ entry: join(path, 'app.mjs'), outfile, format, loader: { '.node': loader } });
    works(outfile);
  });
}

for (const [format, end] of [
  ['cjs', 'cjs'],
  ['esm', 'mjs'],
]) {
  test(`webpack_${format}_with_asset_module_works_without_node_modules`, async (t) => {
    const path = project(t, 'bundles');
    const outfile = join(folder(t), `bundle.${end}`);
    await BUNDLERS.webpack({ entry: join(path, 'app.mjs'), outfile, format, rules: [{ test: /\.node$/, type: 'asset/resource' }] });
    works(outfile);
  });
}

for (const name of ['esbuild', 'webpack']) {
  test(`${name}_without_settings_fails_at_a_line_that_says_external`, async (t) => {
    const path = project(t, 'bundles');
    const building = BUNDLERS[name]({ entry: join(path, 'app.mjs'), outfile: join(path, 'out', 'bundle.cjs'), format: 'cjs' });
    const error = await building.then(() => assert.fail('it was built'), (error) => error);
    const shown = name === 'esbuild' ? (await esbuild.formatMessages(error.errors, { kind: 'error' })).join('\n') : error.message;
    assert.match(shown, /greenroom-linux-x64-gnu\/greenroom\.node/);
    if (name === 'esbuild') assert.match(shown + JSON.stringify(error.errors), /external: \['greenroom'\]/);
  });
}

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  for (const [format, end] of [
    ['cjs', 'cjs'],
    ['esm', 'mjs'],
  ]) {
    test(`${name}_${format}_bundle_without_node_modules_says_external`, async (t) => {
      const path = project(t, 'bundles');
      const out = folder(t);
      writeFileSync(join(out, 'package.json'), JSON.stringify(APP));
      const outfile = join(out, 'dist', 'server', `bundle.${end}`);
      await bundle({ entry: join(path, 'app.mjs'), outfile, format, external: [PLATFORM] });
      const { status, output } = run(outfile);
      assert.equal(status, 1);
      assert.match(output, new RegExp(PLATFORM));
      // The others ask for it before anything of the bundle runs, so that the words are Node's.
      if (name === 'esbuild' || (name === 'webpack' && format === 'cjs')) assert.match(output, /Keep greenroom out of the bundle/);
      for (const secret of Object.values(APP)) assert.ok(!output.includes(secret), output);
    });
  }
}

test('ncc_finds_the_addon', (t) => {
  const path = project(t, 'bundles');
  const out = folder(t);
  const { status, output } = node(path, [bin('@vercel/ncc/dist/ncc/cli.js'), 'build', 'app.cjs', '--out', join(out, 'dist')]);
  assert.equal(status, 0, output);
  works(join(out, 'dist', 'index.cjs'));
});

for (const entry of ['app.cjs', 'app.mjs']) {
  test(`nft_finds_the_addon_of_${entry.slice(-3)}`, async (t) => {
    const path = folder(t);
    // Installed, not linked: a tracer follows links, and so would the copy.
    for (const name of ['greenroom', PLATFORM]) cpSync(join(HERE, 'node_modules', name), join(path, 'node_modules', name), { recursive: true });
    copyFileSync(join(HERE, 'fixtures', 'bundles', entry), join(path, entry));
    const { fileList } = await nodeFileTrace([join(path, entry)], { base: path });
    const out = folder(t);
    for (const file of fileList) {
      mkdirSync(dirname(join(out, file)), { recursive: true });
      copyFileSync(join(path, file), join(out, file));
    }
    works(join(out, entry));
    assert.ok(!fileList.has(join('node_modules', PLATFORM, 'greenroom')), 'the command is not part of a server');
  });
}
