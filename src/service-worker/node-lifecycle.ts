/** Starts the light node on the first call that needs it; the browser may have stopped it a second ago. */
import type { NetworkView, TransportPreference, WorkerToPage } from '#bridge/worker-messages.ts';
import { startLightNode, type LightNode } from './light-node/light-node.ts';
import { workerStore } from '#storage/browser/worker-store.ts';
import { resumePayments, stopPayments } from './payment-client.ts';
import { parseNetworkFile } from '#roles/wire/network-file.ts';
import { loadNetworkFile } from './light-node/served-network-file.ts';
import { onRtcHostChanged } from './rtc-host-port.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';
import { shellStored } from './http/app-shell.ts';

let starting: Promise<LightNode> | undefined;
let node: LightNode | undefined;
let preference: TransportPreference = 'automatic';
let offlineReady = false;

/** The light node of the network this origin serves. */
export function lightNode(): Promise<LightNode> {
  starting ??= startNode().catch((error: unknown) => {
    starting = undefined;
    throw error;
  });
  return starting;
}

async function startNode(): Promise<LightNode> {
  preference = await workerStore.preference();
  node = await startLightNode(await loadNetworkFile(), () => preference, scheduleBroadcast);
  void resumePayments(node).catch(() => undefined);
  return node;
}

export const isNetworkFile = (request: Request): boolean =>
  new URL(request.url).pathname === '/network.json';

/**
 * Gives the page the network file, and serves the network it names from now on: a worker may run for days,
 * and its address may belong to another network meanwhile.
 */
export async function answerNetworkFile(request: Request): Promise<Response> {
  const answer = await fetch(request);
  const served: unknown = answer.ok
    ? await answer
        .clone()
        .json()
        .catch(() => null)
    : null;
  const file = parseNetworkFile(served);
  if (file !== undefined) await switchNetwork(file.networkId).catch(() => undefined);
  return answer;
}

async function switchNetwork(networkId: string): Promise<void> {
  const was = starting;
  const running = await was;
  if (running === undefined || running.file.networkId === networkId || starting !== was) return;
  starting = undefined;
  node = undefined;
  stopPayments();
  await running.stop();
  await lightNode();
  scheduleBroadcast();
}

export async function setPreference(chosen: TransportPreference): Promise<void> {
  preference = chosen;
  await workerStore.savePreference(chosen).catch(() => undefined);
  node?.reconnectByPreference();
  scheduleBroadcast();
}

export async function networkView(): Promise<NetworkView> {
  offlineReady ||= await shellStored();
  const unknown = {
    instance: instanceId,
    network: null,
    trust: 'unknown' as const,
    sentence: 'Not connected yet.',
    section: null,
    sections: [],
    verifiedEpoch: 0,
    checkpointEpoch: null,
    fork: null,
    rtc: { used: 0, open: 0, limit: 0, host: false },
  };
  return { ...(node?.view() ?? unknown), preference, offlineReady };
}

let broadcastTimer: ReturnType<typeof setTimeout> | undefined;

/** Sends the view to the pages, at most five times a second. */
function scheduleBroadcast(): void {
  broadcastTimer ??= setTimeout(() => {
    broadcastTimer = undefined;
    void broadcast();
  }, 200);
}

async function broadcast(): Promise<void> {
  const message: WorkerToPage = { kind: 'network', view: await networkView() };
  for (const page of await scope.clients.matchAll({ type: 'window' })) page.postMessage(message);
}

onRtcHostChanged(() => {
  node?.reconnectByPreference();
  scheduleBroadcast();
});
