/**
 * Goal: a bootstrap node stores and serves only the genesis that five founders reported identically and
 * that matches the invitation, in any order of reports (N18).
 * Method: a section made by hand with the toy curve; founders that report other bytes under its key.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { genesisKeyPair } from '#money/wallet-keys.ts';
import { loadAuthority } from '#node/data-folder/saved-network.ts';
import type { NodeIdentity } from '#node/data-folder/node-identity.ts';
import {
  encodeAddressRecord,
  encodeSignedAuthority,
  signAddressRecord,
  type SectionAuthority,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { lobbyId } from '#roles/wire/lobby.ts';
import { openDataFolder, type DataFolder } from '#storage/node/data-folder.ts';
import { toyScalars, toySuite } from '../../../sim/toys/toy-suite.ts';
import { makeSection, signWith } from '../../section/fixtures.ts';
import { silentLog } from '../../../support/silent-log.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { coordinateGenesis } = await import('#node/genesis/genesis-coordinator.ts');

const faucetSeed = sha256(utf8('faucet'));
const made = makeSection(toySuite, toyScalars, 'test', 2);
const authority: SectionAuthority = {
  ...made.authority,
  genesisOutput: {
    oneTimeKey: genesisKeyPair(faucetSeed).oneTimeKey,
    amount: 1_000_000_000n * PARTS_PER_UNIT,
  },
};
const honest = signWith(toySuite, made.secretShares, authority);
const seeds = Array.from({ length: 9 }, (_, i) => sha256(utf8(`node ${i}`)));
const founders = [...made.identitySeeds, ...seeds.slice(7)];
const names = founders.map(ed25519PublicKey);

let path: string;
let folder: DataFolder;
let identity: NodeIdentity;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'safe-birth-'));
  folder = openDataFolder(join(path, 'data'), { fresh: false });
  identity = { folder: folder.node('bootstrap') } as NodeIdentity;
});
afterEach(() => {
  folder.close();
  rmSync(path, { recursive: true });
});

function gathered() {
  const founding = coordinateGenesis(
    { name: 'test', elders: 7, adults: 2 },
    folder,
    identity,
    faucetSeed,
    silentLog,
  );
  for (const [n, seed] of founders.entries()) {
    const record = signAddressRecord(seed, lobbyId, 1n, ['/ip4/127.0.0.1/tcp/1']);
    founding.enlist(
      { record: encodeAddressRecord(record), sharingKey: sha256(seed) },
      names[n] ?? new Uint8Array(),
    );
  }
  const tell = (n: number, signed: SignedAuthority = honest) =>
    founding.onKeyReady(encodeSignedAuthority(signed), names[n] ?? new Uint8Array(32));
  return { founding, tell };
}

const resigned = (change: Partial<SectionAuthority>): SignedAuthority =>
  signWith(toySuite, made.secretShares, { ...authority, ...change });
/** Reports a founder may send under the genesis key; five liars could even sign some of them. */
const lies: Record<string, SignedAuthority> = {
  'a signature of zeros': { ...honest, signature: new Uint8Array(48) },
  'a late generation': { ...honest, authority: { ...authority, generation: 2n ** 64n - 1n } },
  'no members': { ...honest, authority: { ...authority, members: [] } },
  'a signed state without the first coin': resigned({ genesisOutput: null }),
  'a signed state with another first coin': resigned({
    genesisOutput: { oneTimeKey: sha256(utf8('mine')), amount: 1n },
  }),
  'a signed state of a later generation': resigned({ generation: 1n }),
  'a signed state without one adult': resigned({
    members: authority.members.filter(
      ({ name }) => nameToId(name) !== nameToId(names[8] ?? new Uint8Array()),
    ),
  }),
};

for (const [what, lie] of Object.entries(lies)) {
  test(`the fifth founder tells ${what}: it is refused, and the network is the one the others told`, async () => {
    const { founding, tell } = gathered();
    for (let n = 0; n < 4; n++) expect(await tell(n)).toEqual({ kind: 'counted', count: n + 1 });
    expect((await tell(4, lie)).kind).toBe('refused');
    expect(founding.network()).toBeNull();
    expect(loadAuthority(identity)).toBeNull();
    expect(await tell(5)).toEqual({ kind: 'counted', count: 5 });
    expect(founding.network()?.signed).toEqual(honest);
    expect(loadAuthority(identity)).toEqual(honest);
  });
}

test('an invalid report that arrives first changes nothing, and a founder’s reports are checked three times at most', async () => {
  const verify = vi.spyOn(toySuite, 'verify');
  const { founding, tell } = gathered();
  const lie = lies['a signature of zeros'] ?? honest;
  for (let n = 0; n < 20; n++) expect((await tell(0, lie)).kind).toBe('refused');
  expect(verify).toHaveBeenCalledTimes(3);
  for (let n = 1; n < 6; n++) await tell(n);
  // The same bytes from the other founders are checked once.
  expect(verify).toHaveBeenCalledTimes(4 + 1);
  expect(founding.network()?.signed).toEqual(honest);
  verify.mockRestore();
});

test('only founders may report, one genesis each', async () => {
  const { tell, founding } = gathered();
  // The last two were invited as adults.
  expect(await tell(7)).toMatchObject({ kind: 'refused', refusal: { rule: 'notInvited' } });
  for (let n = 0; n < 9; n++) await tell(0);
  expect(await tell(0)).toEqual({ kind: 'counted', count: 1 });
  expect(founding.network()).toBeNull();
});

test('a stored state that does not verify under the network’s key is not served', async () => {
  const { tell } = gathered();
  for (let n = 0; n < 5; n++) await tell(n);
  expect(gathered().founding.network()?.signed).toEqual(honest);
  const lie = { ...honest, signature: new Uint8Array(48) };
  writeFileSync(join(identity.folder, 'authority'), encodeSignedAuthority(lie));
  expect(() => gathered()).toThrow(/damaged|broken|is not/i);
});
