/**
 * `npm run sim -- SCENARIO --seeds A..B`: one line per failing seed and, last, one line of JSON;
 * exit code 1 when a rule was broken. `--trace FILE` writes the trace of the last run there.
 * `npm run sim:long` runs every scenario as often as docs/simulation.md states and saves the result in
 * docs/measurements; `-- --part 10` runs a tenth of the seeds and states it in the result;
 * `-- network` runs that scenario again and replaces its row.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { main, root, showProgress, Stop } from './lib/root.js';
import { setup } from './lib/setup.js';

const resultFile = join(root, 'docs/measurements/sim-long.json');

/** Scenario, seeds. */
const longRuns = [
  ['membership', 10_000],
  ['dkg', 10_000],
  ['handover', 10_000],
  ['split', 1_000],
  ['relocation', 1_000],
  ['lies', 1_000],
  ['seal', 1_000],
  ['replication', 1_000],
  ['section-life', 200],
  ['network', 1],
];

main(async (args) => {
  const node = await setup();
  if (args.includes('--long')) return runLong(node, args);
  let [first, last, jobs] = [1, 1, 0];
  const env = { ...process.env };
  const names = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--seeds' || args[i] === '--seed') [first, last] = seedsIn(args[++i] ?? '');
    else if (args[i] === '--jobs') jobs = Number(args[++i]);
    else if (args[i] === '--trace') env.TRACE = resolve(args[++i] ?? 'trace.mmd');
    else names.push(args[i]);
  }
  jobs ||= env.TRACE === undefined && last - first >= 50 ? availableParallelism() : 1;
  return (await run(node, [names[0] ?? '', first, last, jobs], env, 'inherit')).code;
});

function seedsIn(text) {
  const found = /^(\d+)(?:\.\.(\d+))?$/.exec(text);
  if (found === null) throw new Stop('Seeds are one number or two: --seeds 1..100.', 2);
  return [Number(found[1]), Number(found[2] ?? found[1])];
}

async function runLong(node, args) {
  const at = args.indexOf('--part');
  const part = at < 0 ? 1 : Number(args[at + 1]);
  if (!(part >= 1))
    throw new Stop('--part takes a number: --part 10 runs a tenth of the seeds.', 2);
  const only = args.filter((each, n) => !each.startsWith('--') && (at < 0 || n !== at + 1));
  const isWhole = part === 1;
  const rows = only.length > 0 && isWhole ? savedRows() : [];
  for (const [name, all] of longRuns) {
    const seeds = Math.ceil(all / part);
    if (only.length > 0 && !only.includes(name)) continue;
    showProgress(`${name}: ${seeds} seeds …`);
    const startedMs = Date.now();
    const jobs = Math.min(seeds, availableParallelism());
    const { code, out } = await run(node, [name, 1, seeds, jobs], process.env, 'pipe');
    const line = out.trim().split('\n').at(-1) ?? '';
    process.stdout.write(out);
    const row = line.startsWith('{') ? JSON.parse(line) : { scenario: name, failed: code };
    const wallSeconds = Math.round((Date.now() - startedMs) / 1000);
    const done = { ...row, wallSeconds, exitCode: code, commit: commitNow() };
    const place = rows.findIndex(({ scenario }) => scenario === name);
    if (place < 0) rows.push(done);
    else rows[place] = done;
    // Saved after every scenario: an interruption must not lose an hour's results.
    if (only.length === 0 || isWhole) saveResult(resultOf(part, rows));
  }
  process.stdout.write(`${JSON.stringify(resultOf(part, rows))}\n`);
  return rows.every(({ exitCode }) => exitCode === 0) ? 0 : 1;
}

const resultOf = (part, rows) => ({
  what: `npm run sim:long${part === 1 ? '' : ` -- --part ${part}`}`,
  cores: availableParallelism(),
  wallSeconds: rows.reduce((sum, row) => sum + row.wallSeconds, 0),
  rows,
});

/** In a partial rerun, each row names the commit it was run at. */
function savedRows() {
  if (!existsSync(resultFile)) return [];
  const { what, rows } = JSON.parse(readFileSync(resultFile, 'utf8'));
  return what === 'npm run sim:long' ? rows : [];
}

function commitNow() {
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout ?? '';
  const changed = git('status', '--porcelain', '--', 'src', 'tests/sim').trim() !== '';
  return `${git('rev-parse', '--short', 'HEAD').trim() || 'unknown'}${changed ? ' and changes' : ''}`;
}

function saveResult(result) {
  mkdirSync(dirname(resultFile), { recursive: true });
  writeFileSync(resultFile, `${JSON.stringify(result, null, 2)}\n`);
}

function run(node, args, env, stdout) {
  return new Promise((done, fail) => {
    const program = [join(root, 'tests/sim/run.ts'), ...args.map(String)];
    const child = spawn(node, program, { cwd: root, env, stdio: ['ignore', stdout, 'inherit'] });
    let out = '';
    child.stdout?.on('data', (chunk) => (out += chunk));
    child.on('error', fail);
    child.on('exit', (code) => done({ code: code ?? 1, out }));
  });
}
