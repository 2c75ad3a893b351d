/**
 * `npm run sim -- SCENARIO --seeds A..B`: one line per failing seed and, last, one line of JSON;
 * exit code 1 when a rule was broken. `--trace FILE` writes the story of the last run there.
 * `npm run sim:long` runs every scenario as often as docs/simulation.md says and keeps the result in
 * docs/measurements; `-- --part 10` runs a tenth of the seeds, and the result says so.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { main, root, say, Stop } from './lib/root.js';
import { setup } from './lib/setup.js';

/** Scenario, seeds. */
const longRuns = [
  ['membership', 10_000],
  ['dkg', 10_000],
  ['handover', 10_000],
  ['split', 1_000],
  ['relocation', 1_000],
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
  const started = Date.now();
  const at = args.indexOf('--part');
  const part = at < 0 ? 1 : Number(args[at + 1]);
  if (!(part >= 1))
    throw new Stop('--part takes a number: --part 10 runs a tenth of the seeds.', 2);
  const only = args.filter((each, n) => !each.startsWith('--') && (at < 0 || n !== at + 1));
  const rows = [];
  for (const [name, all] of longRuns) {
    const seeds = Math.ceil(all / part);
    if (only.length > 0 && !only.includes(name)) continue;
    say(`${name}: ${seeds} seeds …`);
    const begun = Date.now();
    const jobs = Math.min(seeds, availableParallelism());
    const { code, out } = await run(node, [name, 1, seeds, jobs], process.env, 'pipe');
    const line = out.trim().split('\n').at(-1) ?? '';
    process.stdout.write(out);
    const row = line.startsWith('{') ? JSON.parse(line) : { scenario: name, failed: code };
    rows.push({ ...row, wallSeconds: Math.round((Date.now() - begun) / 1000), exitCode: code });
    // After every scenario: an hour is long, and what ran should not be lost with the rest.
    if (only.length === 0) keep(resultOf(part, started, rows));
  }
  process.stdout.write(`${JSON.stringify(resultOf(part, started, rows))}\n`);
  return rows.every(({ exitCode }) => exitCode === 0) ? 0 : 1;
}

const resultOf = (part, started, rows) => ({
  what: `npm run sim:long${part === 1 ? '' : ` -- --part ${part}`}`,
  cores: availableParallelism(),
  wallSeconds: Math.round((Date.now() - started) / 1000),
  rows,
});

function keep(result) {
  const folder = join(root, 'docs/measurements');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'sim-long.json'), `${JSON.stringify(result, null, 2)}\n`);
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
