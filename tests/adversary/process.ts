/**
 * Starts the adversary as a separate process at the lowest priority, so that its cost is not
 * measured.
 */
import { spawn } from 'node:child_process';
import { setPriority, constants } from 'node:os';
import { join } from 'node:path';
import type { TestNetwork } from '../e2e/support/network.ts';
import type { Tally } from './attempt.ts';
import { who } from './attackers.ts';

export interface Adversary {
  readonly pid: number;
  /** Names of attempts that may be answered. */
  readonly harmless: readonly string[];
  /** Outcomes of all attempts; rejects when the program failed. */
  readonly ended: Promise<Tally>;
}

export interface AdversaryOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly atOnce?: number;
  readonly who?: readonly (typeof who)[number][];
}

/** Resolves when the attack has started. */
export async function startAdversary(
  network: Pick<TestNetwork, 'url' | 'data'>,
  options: AdversaryOptions,
): Promise<Adversary> {
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, 'main.ts'),
      ...['--url', network.url, '--data', network.data],
      ...['--who', (options.who ?? who).join(',')],
      ...['--per-second', `${options.perSecond}`, '--seconds', `${options.seconds}`],
      ...['--at-once', `${options.atOnce ?? 32}`, '--seed', `${options.seed}`],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  let output = '';
  let errors = '';
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const lines = (): readonly string[] => output.split('\n').slice(0, -1);
  const ended = new Promise<Tally>((done, failed) => {
    child.on('error', failed);
    child.on('exit', (code) => {
      const last = lines().at(-1);
      if (code === 0 && last !== undefined) done(JSON.parse(last) as Tally);
      else failed(new Error(`the adversary ended with ${code}:\n${errors}`));
    });
  });
  ended.catch(() => undefined);
  await new Promise<void>((begun, failed) => {
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString();
      if (lines().length > 0) begun();
    });
    ended.catch(failed);
  });
  const first = JSON.parse(lines()[0] ?? '{}') as { harmless?: readonly string[] };
  return { pid: child.pid ?? 0, harmless: first.harmless ?? [], ended };
}
