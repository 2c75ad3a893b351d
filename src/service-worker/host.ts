/** Starts the light node on the first call that needs it; the browser may have killed it a second ago. */
import type { NetworkView, RoadPreference, WorkerToPage } from '#bridge/worker.ts';
import { startLightNode, type LightNode } from './light-node.ts';
import { memory } from './memory.ts';
import { resumePayments, stopPayments } from './money.ts';
import { loadNetworkFile, parseNetworkFile } from './network-file.ts';
import { onRtcHostChanged } from './rtc.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';
import { shellStored } from './shell.ts';

let starting: Promise<LightNode> | undefined;
let node: LightNode | undefined;
let preference: RoadPreference = 'automatic';
let offlineReady = false;

/** The light node of the network this origin serves. */
export function lightNode(): Promise<LightNode> {
  starting ??= begin().catch((error: unknown) => {
    starting = undefined;
    throw error;
  });
  return starting;
}

async function begin(): Promise<LightNode> {
  preference = await memory.preference();
  node = await startLightNode(await loadNetworkFile(), () => preference, changed);
  void resumePayments(node).catch(() => undefined);
  return node;
}

export const isNetworkFile = (request: Request): boolean =>
  new URL(request.url).pathname === '/network.json';

/**
 * Hands the page the network file, and serves the network that it names from now on: a worker may live
 * for days, and its address may belong to another network meanwhile.
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
  if (file !== undefined) await serve(file.networkId).catch(() => undefined);
  return answer;
}

async function serve(networkId: string): Promise<void> {
  const was = starting;
  const running = await was;
  if (running === undefined || running.file.networkId === networkId || starting !== was) return;
  starting = undefined;
  node = undefined;
  stopPayments();
  await running.stop();
  await lightNode();
  changed();
}

export async function setPreference(chosen: RoadPreference): Promise<void> {
  preference = chosen;
  await memory.keepPreference(chosen).catch(() => undefined);
  node?.reconsider();
  changed();
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

let telling: ReturnType<typeof setTimeout> | undefined;

/** Tells the pages, at most five times a second. */
function changed(): void {
  telling ??= setTimeout(() => {
    telling = undefined;
    void tell();
  }, 200);
}

async function tell(): Promise<void> {
  const message: WorkerToPage = { kind: 'network', view: await networkView() };
  for (const page of await scope.clients.matchAll({ type: 'window' })) page.postMessage(message);
}

onRtcHostChanged(() => {
  node?.reconsider();
  changed();
});
