/**
 * Goal: genesis secrets are erased whatever one founder does, and the parts that must stay on disk are
 * complete or cause an error.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  genesisSecretsMs,
  isGenesisOver,
  loadGenesis,
  lateFoundersMs,
  shareFile,
} from '#node/genesis/genesis-result.ts';
import { saveAuthority } from '#node/data-folder/saved-network.ts';
import { writeSecret, type NodeIdentity } from '#node/data-folder/node-identity.ts';
import { toyScalars, toySuite } from '../../../sim/toys/toy-suite.ts';
import { makeSection } from '../../section/fixtures.ts';

test('genesis ends at once with seven founders, after a while with five, and after hours in any case', () => {
  expect(isGenesisOver(7, 0)).toBe(true);
  expect(isGenesisOver(6, 0)).toBe(false);
  expect(isGenesisOver(5, lateFoundersMs - 1)).toBe(false);
  expect(isGenesisOver(5, lateFoundersMs)).toBe(true);
  expect(isGenesisOver(4, lateFoundersMs)).toBe(false);
  expect(isGenesisOver(0, genesisSecretsMs)).toBe(true);
});

describe('the genesis result on a founder’s disk', () => {
  const made = makeSection(toySuite, toyScalars);
  const third = made.authority.elders[2];
  const share = made.secretShares[2] ?? new Uint8Array();
  let identity: NodeIdentity;
  const authorityPath = (): string => join(identity.folder, 'authority');
  const kept = () => loadGenesis(identity, made.anchor, toySuite);

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), 'safe-founder-'));
    identity = { folder, name: third?.name } as unknown as NodeIdentity;
    writeSecret(folder, shareFile, share);
    saveAuthority(identity, made.signed);
  });
  afterEach(() => rmSync(identity.folder, { recursive: true }));

  test('is its share and index; a node that founded nothing has none', () => {
    expect(kept()).toMatchObject({ secretShare: share, index: 3 });
    rmSync(authorityPath());
    rmSync(join(identity.folder, shareFile));
    expect(kept()).toBeNull();
  });

  test('a node that relocated to another name does not found again', () => {
    identity = { ...identity, name: new Uint8Array(32).fill(7) } as NodeIdentity;
    expect(kept()).toBeNull();
  });

  const damages: Record<string, () => void> = {
    'an authority cut short': () => truncateSync(authorityPath(), 100),
    'an empty authority': () => truncateSync(authorityPath(), 0),
    'an authority with one byte changed': () => {
      const bytes = readFileSync(authorityPath());
      bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
      writeFileSync(authorityPath(), bytes);
    },
    'no authority beside a share': () => rmSync(authorityPath()),
    'no share beside an authority': () => rmSync(join(identity.folder, shareFile)),
    'a share cut short': () => writeSecret(identity.folder, shareFile, share.subarray(0, 31)),
    'the share of another elder': () =>
      writeSecret(identity.folder, shareFile, made.secretShares[3] ?? share),
  };
  for (const [what, damage] of Object.entries(damages)) {
    test(`${what} stops the node with a sentence instead of making it an elder without a share`, () => {
      damage();
      expect(kept).toThrow(/is damaged: restore it from a copy/);
    });
  }
});
