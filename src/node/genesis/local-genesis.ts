/**
 * Genesis in one process: at the first start seven elders make a section key over their own
 * connections and sign the first authority. Later starts read the results from disk.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { genesisKeyPair } from '#money/wallet-keys.ts';
import type { NodeHost } from '#network/node-host.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import {
  decodeSignedAuthority,
  encodeSignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { GenesisOutcome as BornElder, GenesisConfig } from '#roles/genesis/index.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { replaceFile, type DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem, Problem } from '#storage/node/problem.ts';
import { startFounder } from './founder.ts';
import { gossipEveryMs } from './genesis-result.ts';
import { createAdmissionControl } from '../requests/admission-control.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import {
  firstSupply,
  makeNetworkFile,
  parseSavedNetworkFile,
  type SavedNetworkFile,
} from '#roles/wire/network-file.ts';
import { readSecret, writeSecret, type NodeIdentity } from '../data-folder/node-identity.ts';

export interface LocalGenesisOptions {
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

export interface LocalGenesis {
  readonly file: SavedNetworkFile;
  readonly anchor: TrustAnchor;
  readonly signed: SignedAuthority;
  /** By hex of the elder's name. */
  readonly secretShares: ReadonlyMap<string, Uint8Array>;
  readonly faucetSeed: Uint8Array;
}

/**
 * Seven key generations take half a minute of processor time, and many minutes on a busy machine.
 * After this genesis has stalled.
 */
const genesisTimeoutMs = 1_200_000;

const shareFile = 'share.key';
const authorityFile = 'authority';
const faucetFile = 'faucet.key';

/** Reads the saved network, or runs genesis. Errors: throws a Problem. */
export async function openGenesis(options: LocalGenesisOptions): Promise<LocalGenesis> {
  const kept = options.folder.readText('network.json');
  // network.json is written last: without it there is no network yet, whatever else is there.
  return kept === null ? runGenesis(options) : readGenesis(options, kept);
}

function readGenesis(
  { folder, bootstrapFolder, elders }: LocalGenesisOptions,
  text: string,
): LocalGenesis {
  const parsed = parseSavedNetworkFile(text);
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

async function runGenesis(options: LocalGenesisOptions): Promise<LocalGenesis> {
  const { folder, bootstrapFolder, elders, progress } = options;
  progress('Creating a new network: seven elders make its key …');
  const faucetSeed = readSecret(bootstrapFolder, faucetFile) ?? new Uint8Array(randomBytes(32));
  writeSecret(bootstrapFolder, faucetFile, faucetSeed);
  const networkName = `local-${randomBytes(3).toString('hex')}`;
  const { oneTimeKey } = genesisKeyPair(faucetSeed);
  const outcomes = await runFounders(options, {
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
    suites: productionSuites,
  });
  const secretShares = new Map<string, Uint8Array>();
  let signed: SignedAuthority | undefined;
  for (const { identity } of elders) {
    const own = outcomes.get(nameToId(identity.name));
    if (own === undefined) throw new Error('invariant broken: every elder has its share');
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
async function runFounders(
  { elders, jobs, log, metrics }: LocalGenesisOptions,
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
        admission: createAdmissionControl(metrics),
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
            `The elders have not made the network's key within ${genesisTimeoutMs / 60_000} minutes: this machine may be too busy. Start it again when there is less to do.`,
          ),
        ),
      genesisTimeoutMs,
    );
  });
  try {
    const all = founders.map(async ({ id, founder }) => [id, await founder.result] as const);
    return new Map(await Promise.race([Promise.all(all), tooLate]));
  } finally {
    clearTimeout(timer);
    for (const { founder } of founders) founder.stop();
  }
}
