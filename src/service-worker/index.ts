/// <reference types="@sveltejs/kit" />
/** The light node in the browser: install, activate, messages, fetches. */
import { filesPath, pageToWorkerShape, type WorkerToPage } from '#bridge/worker-messages.ts';
import { answerFile } from './http/file-downloads.ts';
import { answerNetworkFile, isNetworkFile, lightNode } from './node-lifecycle.ts';
import { answerRpc, isRpc } from './http/rpc-calls.ts';
import { checkRtcHost, acquireRtcHost } from './rtc-host-port.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';
import {
  answerShell,
  dropShellsOutOfUse,
  isShell,
  keepShellsInUse,
  storeShell,
} from './http/app-shell.ts';

/** Tried in this order; other requests go to the network. */
const handlers: readonly {
  readonly canHandle: (request: Request) => boolean;
  readonly handle: (request: Request) => Promise<Response>;
}[] = [
  { canHandle: isRpc, handle: answerRpc },
  {
    canHandle: (request) => new URL(request.url).pathname.startsWith(filesPath),
    handle: (request) => answerFile(request, lightNode),
  },
  { canHandle: isNetworkFile, handle: answerNetworkFile },
  { canHandle: isShell, handle: answerShell },
];

scope.addEventListener('install', (event) => event.waitUntil(storeShell()));
scope.addEventListener('activate', (event) =>
  event.waitUntil(keepShellsInUse().then(() => scope.clients.claim())),
);
scope.addEventListener('fetch', (event) => {
  const handler = handlers.find((each) => each.canHandle(event.request));
  if (handler !== undefined) event.respondWith(handler.handle(event.request));
});
scope.addEventListener('message', (event) => {
  const message = pageToWorkerShape(event.data);
  if (message === undefined) return;
  if (message.kind === 'rtcHost' && event.ports[0]) acquireRtcHost(event.ports[0], message.used);
  if (message.kind === 'claim') event.waitUntil(scope.clients.claim());
  if (message.kind === 'applyUpdate') event.waitUntil(scope.skipWaiting());
  if (message.kind === 'keepAlive') {
    event.source?.postMessage({ kind: 'alive', instance: instanceId } satisfies WorkerToPage);
    event.waitUntil(Promise.all([checkRtcHost(), dropShellsOutOfUse()]));
  }
});
