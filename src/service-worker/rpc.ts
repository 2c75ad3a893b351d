/** Calls of page and vault: `POST /safe/rpc/<name>`. Each may be repeated. */
import { callHeader, networkHeader, rpcPath, type RoadPreference } from '#bridge/worker.ts';
import { fromHex } from '#core/codec/bytes.ts';
import { bytesAnswer, CallError, failureAnswer, jsonAnswer } from './answers.ts';
import { getChunk, getPointer, putChunk, putPointer } from './data.ts';
import { forgetFileKeys, takeFileKey } from './files.ts';
import { lightNode, networkView, setPreference } from './host.ts';
import { forgetEnded, outputsPage, pay, provenPath } from './money.ts';

/** A sealed piece with room for its headers. */
const maxBodyBytes = 1024 * 1024 + 1024;

type Call = (request: Request, url: URL) => Promise<Response>;

const calls: Readonly<Record<string, Call>> = {
  status: async (_request, url) => {
    // Asking for the status is how a page wakes the node; its answer does not wait for the network.
    void lightNode()
      .then(async (node) => {
        await node.section();
        if (url.searchParams.has('look')) await node.look();
      })
      .catch(() => undefined);
    return jsonAnswer(await networkView());
  },
  road: async (request) => {
    const { preference } = (await request.json()) as { preference: RoadPreference };
    await setPreference(preference);
    return jsonAnswer({});
  },
  'chunk/put': async (request) => {
    const bytes = await bodyOf(request);
    return jsonAnswer({ receipts: await putChunk(await lightNode(), bytes) });
  },
  'chunk/get': async (request, url) =>
    bytesAnswer(await getChunk(await lightNode(), nameIn(url, 'name'), request.signal)),
  'pointer/put': async (request) => {
    const record = await bodyOf(request);
    return jsonAnswer({ receipts: await putPointer(await lightNode(), record) });
  },
  'pointer/get': async (_request, url) => {
    const record = await getPointer(await lightNode(), nameIn(url, 'address'));
    if (record !== null) return bytesAnswer(record);
    throw new CallError(404, {
      kind: 'notFound',
      message: 'There is no such Safe on this network.',
    });
  },
  section: async () => bytesAnswer((await (await lightNode()).section()).signed),
  'section/proof': async (_request, url) =>
    bytesAnswer(await (await lightNode()).proof(nameIn(url, 'name'), keyIn(url, 'from'))),
  'file/key': async (request) => jsonAnswer(takeFileKey(await request.json())),
  'file/forget': async (request) => {
    forgetFileKeys(await request.json());
    return jsonAnswer({});
  },
  pay: async (request) => {
    const asked = (await request.json()) as { paymentId: string; known?: string };
    return jsonAnswer(await pay(await lightNode(), asked.paymentId, asked.known));
  },
  'pay/done': async (request) => {
    const asked = (await request.json()) as { paymentIds?: readonly string[] };
    await forgetEnded(asked.paymentIds);
    return jsonAnswer({});
  },
  prove: async (request) => {
    const ask = (await request.json()) as Record<'slot' | 'epoch' | 'txid', string>;
    const [slot, txid] = [fromHex(ask.slot), fromHex(ask.txid)];
    if (!slot.ok || slot.value.length !== 32 || !txid.ok || !/^\d{1,20}$/.test(ask.epoch)) {
      throw new CallError(400, { kind: 'internal', message: 'No slot given.' });
    }
    const node = await lightNode();
    return bytesAnswer(await provenPath(node, slot.value, BigInt(ask.epoch), txid.value));
  },
  outputs: async (request) => {
    const ask = (await request.json()) as { elder: string | number; after: number };
    return bytesAnswer(await outputsPage(await lightNode(), ask.elder, ask.after));
  },
};

export const isRpc = (request: Request): boolean =>
  new URL(request.url).pathname.startsWith(rpcPath);

export async function answerRpc(request: Request): Promise<Response> {
  try {
    const url = new URL(request.url);
    const call = calls[url.pathname.slice(rpcPath.length)];
    if (request.method !== 'POST' || call === undefined) {
      throw new CallError(404, { kind: 'internal', message: 'No such call.' });
    }
    if (!isOwn(request)) throw foreign();
    const meant = request.headers.get(networkHeader);
    // A Safe belongs to one network: bytes of it never go to another that this address serves now.
    if (meant !== null && meant !== (await lightNode()).file.networkId) throw otherNetwork();
    return await call(request, url);
  } catch (error) {
    return failureAnswer(error);
  }
}

/**
 * A form of another site, or a frame of it, reaches the worker as a navigation into its scope, with
 * the method and the body it likes; it cannot add a header.
 */
const isOwn = (request: Request): boolean =>
  request.mode !== 'navigate' && request.destination === '' && request.headers.has(callHeader);

const foreign = (): CallError =>
  new CallError(403, { kind: 'internal', message: 'Only the app itself can ask for this.' });

const otherNetwork = (): CallError =>
  new CallError(409, {
    kind: 'otherNetwork',
    message: 'This address now serves another network than your Safe’s. Nothing was sent.',
  });

async function bodyOf(request: Request): Promise<Uint8Array> {
  const body = new Uint8Array(await request.arrayBuffer());
  if (body.length > maxBodyBytes) {
    throw new CallError(413, { kind: 'internal', message: 'A piece is larger than 1 MiB.' });
  }
  return body;
}

const nameIn = (url: URL, field: string): Uint8Array => bytesIn(url, field, 32);
const keyIn = (url: URL, field: string): Uint8Array => bytesIn(url, field, 96);

function bytesIn(url: URL, field: string, length: number): Uint8Array {
  const bytes = fromHex(url.searchParams.get(field) ?? '');
  if (bytes.ok && bytes.value.length === length) return bytes.value;
  throw new CallError(400, { kind: 'internal', message: `No ${field} given.` });
}
