/**
 * Checks what a run of `safe node` connects to its section: a relocation becomes the node's next name, and
 * a removal ends the program. Hosts and the section are stubs; names, files and the node are the product's.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY_PREFIX, matches, parsePrefix, type Prefix } from '#address/prefix.ts';
import { ageOf, nameToId, toXorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { err } from '#core/result.ts';
import type { NodeHost } from '#network/node-host.ts';
import { makeNetworkFile } from '#roles/wire/network-file.ts';
import { openIdentity } from '#node/data-folder/node-identity.ts';
import { saveNetwork } from '#node/data-folder/saved-network.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { nodeLabel, type NodeProgram } from '#node/programs/node-program.ts';
import { runUnderNames } from '#node/programs/node-runs.ts';
import type { SectionCallbacks } from '#node/section/section-handle.ts';
import type { SectionRunnerOptions } from '#node/section/section-runner.ts';
import { encodeRelocationCertificate } from '#protocol/membership/index.ts';
import { openDataFolder } from '#storage/node/data-folder.ts';
import { sectionOf } from '../../service-worker/plain-section.ts';
import { silentLog } from '../../../support/silent-log.ts';

const genesisKey = new Uint8Array(96).fill(1);
const destination = new Uint8Array(32).fill(0b0101_0011);
const age = 6;

/** @returns the connections that are missing or wrong. */
export async function wiringFaults(): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'run-wiring-'));
  const faults: string[] = [];
  const expectThat = (name: string, holds: boolean): void => {
    if (!holds) faults.push(name);
  };
  const { program, runs, close } = await openProgram(folder);
  try {
    const ended = runUnderNames(program).catch((error: unknown) => error);
    const first = await runs.next();
    // A name that does not begin like the destination.
    expectThat('the first run has the saved name', (first.name[0] ?? 0) >= 0x80);
    expectThat('it is not relocating', first.section.certificate === null);
    first.callbacks.onRelocate({ certificate: certificateBytes(first.name), age, destination });

    const second = await runs.next();
    const near = parsePrefix('010') as Prefix;
    expectThat('the new name is near the destination', matches(near, second.name));
    expectThat('the new name has the new age', ageOf(second.name) === age);
    const certificate = second.section.certificate;
    expectThat(
      'the section gets the certificate of the old name',
      certificate !== null && equalBytes(certificate.relocation.name, first.name),
    );
    expectThat('the old host stopped', first.hasHostStopped());

    second.callbacks.onAdopted(standingOf('adult'));
    await second.isAdopted();
    const saved = await openIdentity(program.folder.node(nodeLabel), nodeLabel);
    expectThat('the admitted name is saved', equalBytes(saved.name, second.name));

    second.callbacks.onRemoved();
    second.callbacks.onAdopted(standingOf('outsider'));
    expectThat('a removed node ends', /no longer a member/.test(String(await ended)));
  } finally {
    await close();
    rmSync(folder, { recursive: true });
  }
  return faults;
}

function certificateBytes(name: Uint8Array): Uint8Array {
  return encodeRelocationCertificate({
    relocation: {
      name: toXorName(name),
      age,
      destination,
      generation: 1n,
      reason: 'reward',
    },
    sourceKey: genesisKey,
    sourceEpoch: 0n,
    signature: new Uint8Array(48),
    nameSignature: new Uint8Array(64),
  });
}

const standingOf = (role: 'adult' | 'outsider') => ({
  role,
  signed: { authority: sectionOf([]).authority, signature: new Uint8Array(48), chain: [] },
  previous: null,
  share: null,
});

interface StartedRun {
  readonly name: Uint8Array;
  readonly section: SectionRunnerOptions;
  readonly callbacks: SectionCallbacks;
  readonly hasHostStopped: () => boolean;
  readonly isAdopted: () => Promise<void>;
}

async function openProgram(path: string) {
  const folder = openDataFolder(join(path, 'data'), { fresh: false });
  saveNetwork(folder, makeNetworkFile('test', genesisKey, 1n));
  await openIdentity(folder.node(nodeLabel), nodeLabel, parsePrefix('1'));
  const metrics = createMetrics();
  const waiting: StartedRun[] = [];
  let arrived: () => void = () => undefined;
  const stoppedHosts = new Set<string>();
  const program: NodeProgram = {
    ...{ folder, metrics, log: silentLog, stops: [], stop: { enable: () => undefined } },
    command: {
      ...{ kind: 'node', data: path, join: null, listen: '127.0.0.1', port: null },
      ...{ dataLimitBytes: 1_000_000, joinPrefix: EMPTY_PREFIX, metricsPort: null, hostNames: [] },
    },
    joinPoint: null,
    jobs: { run: () => new Promise<never>(() => undefined), stop: async () => undefined } as never,
    current: {},
    parts: {
      posts: {},
      createHost: async ({ identitySeed }) => {
        const name = publicKeyOf(identitySeed);
        return stubHost(name, () => void stoppedHosts.add(nameToId(name)));
      },
      runSection: (section) => async (callbacks) => {
        const isAdopted = async (): Promise<void> => {
          for (let tries = 0; tries < 200; tries++) {
            if (program.current.node?.role() === 'adult') return;
            await new Promise((go) => setTimeout(go, 10));
          }
        };
        const own = section.identity.name;
        const hasHostStopped = (): boolean => stoppedHosts.has(nameToId(own));
        waiting.push({ name: own, section, callbacks, hasHostStopped, isAdopted });
        arrived();
        return {
          receive: async () => true,
          setVacancies: () => undefined,
          input: () => undefined,
          misbehaved: () => undefined,
          stop: () => undefined,
        };
      },
    },
  };
  return {
    program,
    runs: {
      next: async (): Promise<StartedRun> => {
        while (waiting.length === 0) await new Promise<void>((go) => (arrived = go));
        return waiting.shift() as StartedRun;
      },
    },
    close: async () => {
      for (const each of program.stops.splice(0).reverse()) await each();
      metrics.stop();
      await folder.close();
    },
  };
}

function stubHost(name: Uint8Array, onStop: () => void): NodeHost {
  return {
    ...{ name, peerId: 'self', addresses: () => [], serve: async () => undefined },
    request: async () => err({ kind: 'unreachable' }),
    checkReachable: async () => false,
    addressGroupsOf: () => new Set(),
    setMembership: () => undefined,
    heldBytes: () => 0,
    connections: () => 0,
    stop: async () => onStop(),
  };
}
