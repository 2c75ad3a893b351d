/**
 * Goal: frames that 500 peers begin and never finish cost the node only the bytes received, block
 * no honest request, and are freed when the peers disconnect.
 * Method: the peers are one separate process and all connect to one elder; all nodes of the network
 * share one process, so blocking this elder's event loop blocks all of them.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maxHeldByNonMembers } from '#network/limits/held-bytes.ts';
import { startNetwork, type TestNetwork } from '../e2e/support/network.ts';
import { until } from '../e2e/support/until.ts';
import { openHonest, type Honest } from './honest.ts';
import { openTarget, type Target } from './target.ts';

const peers = 500;
const mayGrowBytes = 32 * 1024 * 1024;
/** A connection with its keys, stream and handlers. */
const mayConnectionTake = 64 * 1024;
/** Twice the 32 KiB received; the frames are announced as 1 MiB. */
const mayHalfTake = 64 * 1024;
const settleWithinMs = 60_000;
/** Less than a stalled stream may keep its bytes. */
const drainWithinMs = 8_000;
const rounds = 3;
const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

let network: TestNetwork;
let target: Target;
let honest: Honest;

beforeAll(async () => {
  network = await startNetwork();
  target = await openTarget(network.url, network.data);
  honest = await openHonest(target);
});
afterAll(async () => {
  await honest?.stop();
  await network?.stop();
  network?.remove();
});

/** Every act must succeed; median times (ms) are printed, not asserted. */
async function work(when: string): Promise<void> {
  const took: Record<string, number> = {};
  for (const name of ['upload', 'pay', 'sectionMessage'] as const) {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const begunMs = performance.now();
      await honest[name]();
      times.push(performance.now() - begunMs);
    }
    took[name] = Math.round(times.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0);
  }
  console.log(`honest requests ${when}, median ms: ${JSON.stringify(took)}`);
}

/** The program with the peers: answers each command with the number of open streams. */
async function openPeers(address: string, protocols: readonly string[]) {
  const program = join(import.meta.dirname, 'half-open-peers.ts');
  const given = ['--address', address, '--protocols', protocols.join(','), '--count', `${peers}`];
  const child = spawn(process.execPath, [program, ...given], { stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const gone = new Promise<void>((done) => child.on('exit', () => done()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<number> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the peers ended:\n${errors}`);
    return Number(value);
  };
  return {
    connected: await answer(),
    command: async (line: 'half' | 'more' | 'count'): Promise<number> => {
      child.stdin.write(`${line}\n`);
      return answer();
    },
    end: async (): Promise<void> => {
      child.stdin.write('end\n');
      await gone;
    },
    kill: () => child.kill('SIGKILL'),
  };
}

test('500 peers begin a frame and never finish it → honest work succeeds, and memory grows by the bytes received', async () => {
  await work('quiet');
  const before = await network.memory();
  const { tcp } = target.node('elder-1');
  const peerProgram = await openPeers(tcp, [target.protocol('section'), target.protocol('data')]);
  try {
    expect(peerProgram.connected).toBe(peers);
    expect(await peerProgram.command('half')).toBe(peers);
    // What 500 handshakes left behind counts until their timers end.
    const held = await until(
      async () => (await network.memory()).bytes - before.bytes,
      (bytes) => bytes <= peers * (mayHalfTake + mayConnectionTake),
      drainWithinMs,
    );
    console.log(`${peers} half frames take ${mebibytes(held)}`);
    expect(await peerProgram.command('count')).toBe(peers);
    await work(`beside ${peers} half frames`);

    // More than the limit for all unknown peers together: some lose their streams, no honest peer
    // does.
    const open = await peerProgram.command('more');
    // Bytes that arrive while the streams are being ended count until they are dropped.
    const full = await until(
      async () => (await network.memory()).bytes - before.bytes,
      (bytes) => bytes <= maxHeldByNonMembers + peers * mayConnectionTake,
      drainWithinMs,
    );
    console.log(
      `${peers} peers with half a mebibyte each take ${mebibytes(full)}; ${open} streams are left`,
    );
    await until(
      () => peerProgram.command('count'),
      (left) => left < peers,
    );
    await work('beside peers that send on');
    await peerProgram.end();
  } finally {
    peerProgram.kill();
  }
  await honest.upload();
  expect(await honest.missing()).toBe(0);
  const after = await until(
    network.memory,
    ({ bytes }) => bytes - before.bytes <= mayGrowBytes,
    settleWithinMs,
  );
  console.log(`memory afterwards: ${mebibytes(after.bytes - before.bytes)} more`);
  expect(after.pid).toBe(before.pid);
  expect(after.pid).toBe(network.pid());
});
