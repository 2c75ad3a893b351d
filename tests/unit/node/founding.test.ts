/**
 * Goal: the secrets of a birth leave the disk whatever one founder does, and what has to stay there
 * is whole or an error.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  birthSecretsMs,
  isBirthOver,
  keptBirth,
  lateFoundersMs,
  shareFile,
} from '#node/founding.ts';
import { keepAuthority } from '#node/network-folder.ts';
import { writeSecret, type NodeIdentity } from '#node/node-folder.ts';
import { toyScalars, toySuite } from '../../sim/toy-suite.ts';
import { makeSection } from '../section/fixtures.ts';

test('seven born end it at once, five after a while for those who are late, and hours end it in any case', () => {
  expect(isBirthOver(7, 0)).toBe(true);
  expect(isBirthOver(6, 0)).toBe(false);
  expect(isBirthOver(5, lateFoundersMs - 1)).toBe(false);
  expect(isBirthOver(5, lateFoundersMs)).toBe(true);
  expect(isBirthOver(4, lateFoundersMs)).toBe(false);
  expect(isBirthOver(0, birthSecretsMs)).toBe(true);
});

describe('what a birth left on a founder’s disk', () => {
  const made = makeSection(toySuite, toyScalars);
  const third = made.authority.elders[2];
  const share = made.secretShares[2] ?? new Uint8Array();
  let identity: NodeIdentity;
  const authorityPath = (): string => join(identity.folder, 'authority');
  const kept = () => keptBirth(identity, made.anchor, toySuite);

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), 'safe-founder-'));
    identity = { folder, name: third?.name } as unknown as NodeIdentity;
    writeSecret(folder, shareFile, share);
    keepAuthority(identity, made.signed);
  });
  afterEach(() => rmSync(identity.folder, { recursive: true }));

  test('is its share and its place; a node that founded nothing has none', () => {
    expect(kept()).toMatchObject({ secretShare: share, index: 3 });
    rmSync(authorityPath());
    rmSync(join(identity.folder, shareFile));
    expect(kept()).toBeNull();
  });

  test('a node that has moved on under another name founds nothing again', () => {
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
