/**
 * Goal: one command starts a real network, which stops on request, restarts with the same data and key, and
 * keeps everything acknowledged through kill -9.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { addressOf, encodeAddress } from '#money/wallet-address.ts';
import { singleSectionKeys } from '#money/spend-certificate.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { walletKeys } from '#money/wallet-keys.ts';
import { createNodeHost } from '#network/node-host.ts';
import { readSecret } from '#node/data-folder/node-identity.ts';
import { balanceOf, emptyWallet, scanEntry } from '#safe/wallet/index.ts';
import { dataFormat } from '#storage/node/data-folder.ts';
import {
  bootstrapTcpOf,
  connectClient,
  tcpAddressesOf,
  type NodeClient,
} from './support/node-client.ts';
import { freePort, startNetwork, type TestNetwork } from './support/network.ts';
import { patienceMs } from './support/until.ts';

const root = resolve(import.meta.dirname, '../..');

/** Runs the program to its end; resolves with its exit code and its output. */
function runToEnd(
  args: readonly string[],
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(root, 'src/node/programs/npm-start.ts'), ...args], {
      cwd: root,
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.on('close', (code) => done({ code, out, err }));
  });
}

describe('a started network', () => {
  let network: TestNetwork;
  let client: NodeClient;
  beforeAll(async () => {
    network = await startNetwork({ origin: 'new' });
    client = await connectClient(network.url, await bootstrapTcpOf(network.data));
  });
  afterAll(async () => {
    await client.stop();
    await network.stop();
    network.handDown();
  });

  test('an outsider verifies its authority from the network file alone: seven elders, six adults', () => {
    expect(client.authority.elders).toHaveLength(7);
    expect(client.authority.members).toHaveLength(13);
    expect(client.authority.members.every(({ name }) => name[31] === 5)).toBe(true);
  });

  test('the data folder and all its secrets belong to one user', () => {
    const mode = (path: string): number => statSync(join(network.data, path)).mode & 0o777;
    expect(mode('')).toBe(0o700);
    for (const elder of ['elder-1', 'elder-7']) {
      expect(mode(`nodes/${elder}/share.key`)).toBe(0o600);
      expect(mode(`nodes/${elder}/identity.key`)).toBe(0o600);
      expect(mode(`nodes/${elder}/facts`)).toBe(0o600);
    }
  });

  test('all elders have distinct shares, and none of them is the section key', () => {
    const shares = [1, 2, 3, 4, 5, 6, 7].map((n) => {
      const share = readSecret(join(network.data, `nodes/elder-${n}`), 'share.key');
      return share === null ? '' : Buffer.from(share).toString('hex');
    });
    expect(new Set(shares).size).toBe(7);
    for (const share of shares) {
      expect(share).toHaveLength(64);
      const publicShare = blsSuite.publicKey(new Uint8Array(Buffer.from(share, 'hex')));
      expect(Buffer.from(publicShare).toString('hex')).not.toBe(client.genesisKey);
      const known = client.authority.elders.map((elder) =>
        Buffer.from(elder.publicShare).toString('hex'),
      );
      expect(known).toContain(Buffer.from(publicShare).toString('hex'));
    }
  });

  test('a chunk of 1 MiB gets four genuine receipts and comes back', async () => {
    const { name, receipts } = await client.put(1024 * 1024);
    expect(receipts).toBe(4);
    expect(await client.get(name)).not.toBeNull();
  });

  test('one adult off and another dishonest → nothing is lost', async () => {
    const before = await Promise.all(Array.from({ length: 6 }, () => client.put(20_000)));
    await network.adult(0, 'off');
    await network.adult(1, 'lie');
    const during = await Promise.all(Array.from({ length: 6 }, () => client.put(20_000)));
    for (const { name, receipts } of [...before, ...during]) {
      expect(receipts).toBeGreaterThanOrEqual(3);
      expect(await client.get(name)).not.toBeNull();
    }
    await network.adult(0, 'ok');
    await network.adult(1, 'ok');
  });

  test('an adult answers elders only', async () => {
    const stranger = await createNodeHost({
      identitySeed: crypto.getRandomValues(new Uint8Array(32)),
      role: 'adult',
      tcpPort: await freePort(),
      wsPort: null,
      rtcDirectPort: null,
      bootstrap: { tcpAddress: await bootstrapTcpOf(network.data) },
    });
    const { decodeNodeReply, encodeNodeRequest } = await import('#roles/wire/node-requests.ts');
    const { networkTag } = await import('#network/protocols.ts');
    const elders = new Set(
      client.authority.elders.map(({ name }) => Buffer.from(name).toString('hex')),
    );
    const adult = (await tcpAddressesOf(network.data)).get('adult-1');
    if (adult === undefined) throw new Error('no adult');
    const { name } = adult;
    expect(elders.has(Buffer.from(name).toString('hex'))).toBe(false);
    const addresses = [adult.address];
    const request = encodeNodeRequest({
      kind: 'fetchChunk',
      stateRef: { keyHash: new Uint8Array(32), generation: 0n },
      name: new Uint8Array(32),
    });
    const tag = networkTag(client.authority.networkId);
    const answer = await stranger.request({ name, addresses }, 'data', tag, request, {
      timeoutMs: 5_000,
    });
    expect(answer.ok && decodeNodeReply(answer.value)).toEqual({
      ok: true,
      value: { kind: 'refused', refusal: { kind: 'notAllowed', rule: 'eldersOnly' } },
    });
    await stranger.stop();
  });

  test('the faucet pays 100 units that the recipient finds in the list of every elder', async () => {
    const keys = walletKeys(crypto.getRandomValues(new Uint8Array(32)));
    const address = encodeAddress(client.authority.networkId, addressOf(keys));
    const ask = async (to: string) => {
      const answer = await fetch(`${network.url}/faucet`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ address: to }),
      });
      return { status: answer.status, body: (await answer.json()) as { error?: string } };
    };
    expect((await ask(address.slice(0, -1))).body.error).toBe('badAddress');
    expect((await ask(address)).status).toBe(202);
    expect((await ask(address)).status).toBe(202);
    const balanceAt = async (elder: Uint8Array): Promise<bigint> => {
      const reply = await client.ask(elder, { kind: 'outputs', after: 0, limit: 64 });
      if (reply.kind !== 'outputs') throw new Error(reply.kind);
      let wallet = emptyWallet;
      for (const entry of reply.entries) {
        const scanned = scanEntry(
          { keys, sections: singleSectionKeys(client.authority), suite: blsSuite },
          wallet,
          entry,
          0,
        );
        if (!scanned.ok) throw new Error(scanned.error);
        wallet = scanned.value.state;
      }
      return balanceOf(wallet).available;
    };
    for (const { name } of client.authority.elders.slice(0, 3)) {
      await expect
        .poll(() => balanceAt(name), { timeout: patienceMs, interval: 500 })
        .toBe(200n * PARTS_PER_UNIT);
    }
    for (let n = 0; n < 3; n++) await ask(address);
    const tooOften = await ask(address);
    expect(tooOften).toMatchObject({ status: 429, body: { error: 'tooOften' } });
  });

  test('a second program on the same folder, or on the same port, reports the next step and exits with 2', async () => {
    const port = await freePort();
    const locked = await runToEnd(['--port', `${port}`, '--data', network.data]);
    expect(locked).toMatchObject({ code: 2, out: '' });
    expect(locked.err).toMatch(/^The data folder .* is in use .*--data DIR\.\n$/);
    const other = mkdtempSync(join(tmpdir(), 'safe-e2e-port-'));
    const taken = await runToEnd(['--port', `${network.port}`, '--data', other]);
    expect(taken).toMatchObject({ code: 2, out: '' });
    expect(taken.err).toMatch(/^Port \d+ is taken .*--port\.\n$/);
    rmSync(other, { recursive: true });
  });

  test('kill -9 while storing: the network is back with the same key and every acknowledged chunk', async () => {
    const acknowledged: Uint8Array[] = [];
    let storing = true;
    const storers = Array.from({ length: 4 }, async () => {
      while (storing) {
        try {
          const { name, receipts } = await client.put(300_000);
          if (receipts >= 3) acknowledged.push(name);
        } catch {
          // Refused while the machine is busy, or aborted by the kill: neither is acknowledged.
        }
      }
    });
    await expect.poll(() => acknowledged.length, { timeout: patienceMs }).toBeGreaterThan(20);
    await network.kill();
    storing = false;
    await Promise.all(storers);
    const { genesisKey } = client;
    await client.stop();
    await network.restart();
    client = await connectClient(network.url, await bootstrapTcpOf(network.data));
    expect(client.genesisKey).toBe(genesisKey);
    for (const name of acknowledged) expect(await client.get(name)).not.toBeNull();
  });

  test('a stop request ends it within 10 s', async () => {
    expect(await network.stop()).toBeLessThan(10_000);
    await network.restart();
  });
});

describe('an unusable data folder', () => {
  let parent: string;
  let data: string;
  beforeAll(() => {
    parent = mkdtempSync(join(tmpdir(), 'safe-e2e-folder-'));
    data = join(parent, 'data');
  });
  afterAll(() => rmSync(parent, { recursive: true }));

  test('an older format is refused with --fresh as the next step', async () => {
    const port = `${await freePort()}`;
    const { mkdirSync } = await import('node:fs');
    mkdirSync(join(data, 'nodes'), { recursive: true });
    writeFileSync(join(data, 'format'), `${dataFormat - 1}\n`);
    const result = await runToEnd(['--port', port, '--data', data]);
    expect(result).toMatchObject({ code: 2, out: '' });
    expect(result.err).toMatch(/^The data folder .* older version .*--fresh.*\n$/);
    expect(readdirSync(parent)).toEqual(['data']);
  });

  test('a damaged network file is reported as damaged and nothing is overwritten', async () => {
    writeFileSync(join(data, 'format'), `${dataFormat}\n`);
    writeFileSync(join(data, 'network.json'), '{"format":1}');
    const result = await runToEnd(['--port', `${await freePort()}`, '--data', data]);
    expect(result.code).toBe(2);
    expect(result.err).toContain('is damaged');
    expect(readFileSync(join(data, 'network.json'), 'utf8')).toBe('{"format":1}');
  });

  test('a foreign folder is refused and not changed', async () => {
    const theirs = join(parent, 'theirs');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(theirs);
    writeFileSync(join(theirs, 'thesis.txt'), 'mine');
    const result = await runToEnd(['--port', `${await freePort()}`, '--data', theirs, '--fresh']);
    expect(result.code).toBe(2);
    expect(readdirSync(theirs)).toEqual(['thesis.txt']);
    expect(existsSync(`${theirs}.old-1`)).toBe(false);
  });

  test('wrong arguments exit with 2 and list the right ones', async () => {
    const result = await runToEnd(['--adults', '2']);
    expect(result).toMatchObject({ code: 2, out: '' });
    expect(result.err).toContain('--adults takes a number from 4 to 64');
  });
});

test('an occupied port is reported before anything is started', async () => {
  const port = await freePort();
  const other = createServer().listen(port, '127.0.0.1');
  const data = join(mkdtempSync(join(tmpdir(), 'safe-e2e-')), 'data');
  const result = await runToEnd(['--port', `${port}`, '--data', data]);
  other.close();
  expect(result.code).toBe(2);
  expect(result.err.trim().split('\n')).toHaveLength(1);
});
