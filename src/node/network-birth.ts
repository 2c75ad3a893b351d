/**
 * The birth of a network: at the first start seven elders make a section key over their own
 * connections and sign the first authority. From then on its results are read from the disk.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { genesisKeyPair } from '#money/keys.ts';
import type { NodeHost } from '#network/node-host.ts';
import { blsGroup } from '#protocol/dkg/index.ts';
import {
  decodeSignedAuthority,
  encodeSignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import {
  decodeGenesisMessage,
  encodeGenesisMessage,
  genesis,
  type Born as BornElder,
  type Genesis,
  type GenesisConfig,
} from '#roles/genesis/index.ts';
import { decodeNodeRequest, encodeNodeReply, encodeNodeRequest } from '#roles/wire/node.ts';
import { startDriver, type Driver } from '#runtime/driver.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { replaceFile, type DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem } from '#storage/node/problem.ts';
import type { Log } from './log.ts';
import { makeNetworkFile, parseNetworkFile, type KeptNetworkFile } from './network-file.ts';
import { readSecret, writeSecret, type NodeIdentity } from './node-folder.ts';
import { systemClock } from './system-clock.ts';

export interface BirthOptions {
  readonly folder: DataFolder;
  readonly bootstrapFolder: string;
  readonly elders: readonly { readonly identity: NodeIdentity; readonly host: NodeHost }[];
  /** Names of the first adults. */
  readonly adults: readonly Uint8Array[];
  readonly jobs: JobPool;
  readonly progress: (line: string) => void;
  readonly log: Log;
}

export interface Born {
  readonly file: KeptNetworkFile;
  readonly anchor: TrustAnchor;
  readonly signed: SignedAuthority;
  /** By hex of the elder's name. */
  readonly secretShares: ReadonlyMap<string, Uint8Array>;
  readonly faucetSeed: Uint8Array;
}

/** A billion units. */
const supply = 1_000_000_000n * PARTS_PER_UNIT;
const gossipEveryMs = 500;
const messageTimeoutMs = 10_000;
/** Seven key generations take some seconds on two cores; this is a machine that stands still. */
const patienceMs = 120_000;

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
    adults: options.adults.map(toXorName),
    networkName,
    nonce: new Uint8Array(randomBytes(32)),
    genesisOutput: { oneTimeKey, amount: supply },
    gossipEveryMs,
    suite: blsSuite,
    group: blsGroup,
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
  const file = makeNetworkFile(networkName, key, supply);
  folder.writeText('network.json', `${JSON.stringify(file, null, 2)}\n`);
  progress(`The network ${networkName} has its key.`);
  return { file, anchor: { genesisKey: key, networkId }, signed, secretShares, faucetSeed };
}

type SharedConfig = Omit<GenesisConfig, 'self' | 'identitySeed'>;

/**
 * Runs the seven machines over the elders' hosts until each has its share. Facts stay in memory:
 * a birth that is cut short is begun again, and no half-made secret lies on a disk.
 */
async function generate(
  { elders, jobs, log }: BirthOptions,
  shared: SharedConfig,
): Promise<ReadonlyMap<string, BornElder>> {
  const tag = `genesis-${toHex(shared.nonce.subarray(0, 16))}`;
  const candidates = new Map(elders.map((elder) => [nameToId(elder.identity.name), elder]));
  const drivers = new Map<string, Driver<Genesis>>();
  const born = new Map<string, BornElder>();

  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the key generation has not ended after ${patienceMs / 1000} s`));
    }, patienceMs);
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      if (error === undefined) resolve();
      else reject(error);
    };

    const begin = async (self: string, { identity, host }: BirthOptions['elders'][number]) => {
      await host.serve('section', tag, async (bytes, from) => {
        const request = decodeNodeRequest(bytes);
        const sender = from.name === null ? '' : nameToId(from.name);
        if (!request.ok || request.value.kind !== 'deliver' || !candidates.has(sender)) {
          return encodeNodeReply({ kind: 'refused', refusal: { kind: 'notAllowed', rule: 'G1' } });
        }
        const message = decodeGenesisMessage(request.value.message);
        if (!message.ok) {
          return encodeNodeReply({
            kind: 'refused',
            refusal: { kind: 'malformed', what: 'genesis' },
          });
        }
        const driver = drivers.get(self);
        driver?.push({ kind: 'received', from: sender, message: message.value });
        driver?.idle().catch(finish);
        return encodeNodeReply({ kind: 'taken' });
      });
      const driver = await startDriver(
        genesis,
        { ...shared, self, identitySeed: identity.seed },
        {
          clock: systemClock,
          randomBytes: (length) => new Uint8Array(randomBytes(length)),
          facts: { load: async () => [], append: async () => undefined },
          compute: (job) => jobs.run('genesis', job),
          transport: {
            send: (to, message) => {
              const other = candidates.get(to);
              if (other === undefined) return;
              const request = encodeNodeRequest({
                kind: 'deliver',
                protocol: 'genesis',
                message: encodeGenesisMessage(message),
              });
              const peer = { name: other.identity.name, addresses: other.host.addresses() };
              // A lost message is asked for again by the machine's own gossip.
              void host.request(peer, 'section', tag, request, { timeoutMs: messageTimeoutMs });
            },
          },
          onOutput: (output) => {
            if (output.kind === 'failed') {
              finish(new Error(`candidate ${output.culprit} dealt wrongly in the key generation`));
              return;
            }
            born.set(self, output);
            if (born.size === elders.length) finish();
          },
          onFault: ({ kind, culprit }) =>
            log.write({ event: 'blamed', node: identity.label, kind, peer: culprit }),
        },
      );
      drivers.set(self, driver);
      driver.idle().catch(finish);
    };
    Promise.all([...candidates].map(([self, elder]) => begin(self, elder))).catch(finish);
  }).finally(() => {
    for (const driver of drivers.values()) driver.stop();
  });
  return born;
}
