/** Answers the calls of page and vault (bridge/worker-calls.ts). */
import { callHeader, networkHeader, rpcPath } from '#bridge/worker-messages.ts';
import {
  answerCall,
  isWorkerCall,
  differentVersions,
  type WorkerCallHandlers,
} from '#bridge/worker-calls.ts';
import { bytesResponse, CallError, failureResponse } from './http-responses.ts';
import { getChunk, getPointer, putChunk, putPointer } from '../data-client.ts';
import { forgetFileKeys, storeFileKey } from './file-downloads.ts';
import { lightNode, networkView, setPreference } from '../node-lifecycle.ts';
import { removeEnded, outputsPage, pay, fetchInclusionProof } from '../payment-client.ts';

const handlers: WorkerCallHandlers = {
  status: async ({ look }) => {
    // A status call also starts the node; its response does not wait for the network.
    void lightNode()
      .then(async (node) => {
        await node.section();
        if (look) await node.checkForUpdates();
      })
      .catch(() => undefined);
    return networkView();
  },
  transport: async ({ preference }) => {
    await setPreference(preference);
    return null;
  },
  'chunk/put': async (bytes) => {
    await putChunk(await lightNode(), bytes);
    return null;
  },
  'chunk/get': async ({ name }, signal) => getChunk(await lightNode(), name, signal),
  'pointer/put': async (record) => {
    await putPointer(await lightNode(), record);
    return null;
  },
  'pointer/get': async ({ address }) => {
    const record = await getPointer(await lightNode(), address);
    if (record !== null) return record;
    throw new CallError(404, {
      kind: 'notFound',
      message: 'There is no such Safe on this network.',
    });
  },
  'section/proof': async ({ name, from }) => (await lightNode()).proof(name, from),
  'file/key': (key) => ({ url: storeFileKey(key) }),
  'file/forget': ({ tokens }) => {
    forgetFileKeys(tokens);
    return null;
  },
  pay: async ({ paymentId, known }) => pay(await lightNode(), paymentId, known),
  'pay/done': async ({ paymentIds }) => {
    await removeEnded(paymentIds ?? undefined);
    return null;
  },
  prove: async ({ slot, epoch, txid }) => fetchInclusionProof(await lightNode(), slot, epoch, txid),
  outputs: async ({ elder, after }) => outputsPage(await lightNode(), elder, after),
};

export const isRpc = (request: Request): boolean =>
  new URL(request.url).pathname.startsWith(rpcPath);

export async function answerRpc(request: Request): Promise<Response> {
  try {
    const name = new URL(request.url).pathname.slice(rpcPath.length);
    if (!isFromApp(request)) throw notFromApp();
    if (request.method !== 'POST' || !isWorkerCall(name)) throw fromOtherVersion();
    const expectedNetwork = request.headers.get(networkHeader);
    // A Safe belongs to one network: its bytes never go to another one now served at this address.
    if (expectedNetwork !== null && expectedNetwork !== (await lightNode()).file.networkId)
      throw otherNetwork();
    const body = new Uint8Array(await request.arrayBuffer());
    const answer = await answerCall(handlers, name, body, request.signal);
    if (answer === null) throw fromOtherVersion();
    return bytesResponse(answer);
  } catch (error) {
    return failureResponse(error);
  }
}

/**
 * Rejects forms and frames of other sites: they reach the worker as a navigation into its scope, with a
 * method and body of their choice, but they cannot add a header.
 */
const isFromApp = (request: Request): boolean =>
  request.mode !== 'navigate' && request.destination === '' && request.headers.has(callHeader);

const notFromApp = (): CallError =>
  new CallError(403, { kind: 'internal', message: 'Only the app itself can ask for this.' });

const fromOtherVersion = (): CallError => new CallError(400, differentVersions);

const otherNetwork = (): CallError =>
  new CallError(409, {
    kind: 'otherNetwork',
    message: 'This address now serves another network than your Safe’s. Nothing was sent.',
  });
