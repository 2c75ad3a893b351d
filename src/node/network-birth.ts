/**
 * The birth of a network: at the first start seven elders make a section key over their own
 * connections and sign the first authority. From then on its results are read from the disk.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { genesisKeyPair } from '#money/keys.ts';
import type { NodeHost } from '#network/node-host.ts';
import { realSuites } from '#protocol/dkg/index.ts';
import {
  decodeSignedAuthority,
  encodeSignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { Born as BornElder, GenesisConfig } from '#roles/genesis/index.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { replaceFile, type DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem, Problem } from '#storage/node/problem.ts';
import { startFounder } from './founder.ts';
import { gossipEveryMs } from './founding.ts';
import { createGate } from './gate.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import {
  firstSupply,
  makeNetworkFile,
  parseNetworkFile,
  type KeptNetworkFile,
} from './network-file.ts';
import { readSecret, writeSecret, type NodeIdentity } from './node-folder.ts';

export interface BirthOptions {
  readonly folder: DataFolder;
  readonly bootstrapFolder: string;
  readonly elders: readonly { readonly identity: NodeIdentity; readonly host: NodeHost }[];
  /** The first adults. */
  readonly adults: readonly Pick<NodeIdentity, 'name' | 'sharing'>[];
  readonly jobs: JobPool;
  readonly progress: (line: string) => void;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface Born {
  readonly file: KeptNetworkFile;
  readonly anchor: TrustAnchor;
  readonly signed: SignedAuthority;
  /** By hex of the elder's name. */
  readonly secretShares: ReadonlyMap<string, Uint8Array>;
  readonly faucetSeed: Uint8Array;
}

/**
 * Seven key generations take half a minute of processor time; on a machine that is busy otherwise that
 * may be many minutes. After this it stands still.
 */
const patienceMs = 1_200_000;

const shareFile = 'share.key';
const authorityFile = 'authority';
const faucetFile = 'faucet.key';

/** Reads the born network, or lets it be born. Errors: throws a Problem with one line. */
export async function openBirth(options: BirthOptions): Promise<Born> {
  const kept = options.folder.readText('network.json');
  // network.json is written last: without it there is no network yet, whatever else lies there.
  return kept === null ? giveBirth(options) : readBirth(options, kept);
}

function readBirth({ folder, bootstrapFolder, elders }: BirthOptions, text: string): Born {
  const parsed = parseNetworkFile(text);
  const faucetSeed = readSecret(bootstrapFolder, faucetFile);
  if (parsed === undefined || faucetSeed === null) throw folderProblem('broken', folder.path);
  const secretShares = new Map<string, Uint8Array>();
  let signed: SignedAuthority | undefined;
  for (const { identity } of elders) {
    const share = readSecret(identity.folder, shareFile);
    const path = join(identity.folder, authorityFile);
    if (share === null || !existsSync(path)) throw folderProblem('broken', folder.path);
    secretShares.set(nameToId(identity.name), share);
    const decoded = decodeSignedAuthority(new Uint8Array(readFileSync(path)));
    if (!decoded.ok) throw folderProblem('broken', folder.path);
    signed ??= decoded.value;
  }
  if (signed === undefined) throw folderProblem('broken', folder.path);
  return { ...parsed, signed, secretShares, faucetSeed };
}

async function giveBirth(options: BirthOptions): Promise<Born> {
  const { folder, bootstrapFolder, elders, progress } = options;
  progress('A new network is born: seven elders make its key …');
  const faucetSeed = readSecret(bootstrapFolder, faucetFile) ?? new Uint8Array(randomBytes(32));
  writeSecret(bootstrapFolder, faucetFile, faucetSeed);
  const networkName = `local-${randomBytes(3).toString('hex')}`;
  const { oneTimeKey } = genesisKeyPair(faucetSeed);
  const born = await generate(options, {
    candidates: elders.map(({ identity }) => toXorName(identity.name)),
    adults: options.adults.map(({ name }) => toXorName(name)),
    sharingKeys: new Map(
      [...elders.map(({ identity }) => identity), ...options.adults].map(({ name, sharing }) => [
        nameToId(name),
        sharing.key,
      ]),
    ),
    networkName,
    nonce: new Uint8Array(randomBytes(32)),
    genesisOutput: { oneTimeKey, amount: firstSupply },
    gossipEveryMs,
    suites: realSuites,
  });
  const secretShares = new Map<string, Uint8Array>();
  let signed: SignedAuthority | undefined;
  for (const { identity } of elders) {
    const own = born.get(nameToId(identity.name));
    if (own === undefined) throw new Error('invariant broken: every elder was born');
    writeSecret(identity.folder, shareFile, own.secretShare);
    replaceFile(join(identity.folder, authorityFile), encodeSignedAuthority(own.signed), 0o600);
    secretShares.set(nameToId(identity.name), own.secretShare);
    signed ??= own.signed;
  }
  if (signed === undefined) throw new Error('invariant broken: there are seven elders');
  const { key, networkId } = signed.authority;
  const file = makeNetworkFile(networkName, key, firstSupply);
  folder.writeText('network.json', `${JSON.stringify(file, null, 2)}\n`);
  progress(`The network ${networkName} has its key.`);
  return { file, anchor: { genesisKey: key, networkId }, signed, secretShares, faucetSeed };
}

/** Runs the seven founders over the elders' hosts until each has its share. */
async function generate(
  { elders, jobs, log, metrics }: BirthOptions,
  config: Omit<GenesisConfig, 'self' | 'identitySeed' | 'sharingSecret'>,
): Promise<ReadonlyMap<string, BornElder>> {
  const hosts = new Map(elders.map(({ identity, host }) => [nameToId(identity.name), host]));
  const addressesOf = (name: Uint8Array): readonly string[] =>
    hosts.get(nameToId(name))?.addresses() ?? [];
  const founders = await Promise.all(
    elders.map(async ({ identity, host }) => ({
      id: nameToId(identity.name),
      founder: await startFounder({
        config,
        identity,
        host,
        addressesOf,
        facts: null,
        jobs,
        log,
        gate: createGate(metrics),
      }),
    })),
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new Problem(
            'broken',
            `The elders have not made the network's key within ${patienceMs / 60_000} minutes: this machine may be too busy. Start it again when there is less to do.`,
          ),
        ),
      patienceMs,
    );
  });
  try {
    const all = founders.map(async ({ id, founder }) => [id, await founder.born] as const);
    return new Map(await Promise.race([Promise.all(all), tooLate]));
  } finally {
    clearTimeout(timer);
    for (const { founder } of founders) founder.stop();
  }
}
