/// <reference types="@sveltejs/kit" />
/** The light node in the browser: install, activate, messages, fetches. */
import { filesPath, type PageToWorker, type WorkerToPage } from '#bridge/worker.ts';
import { answerFile } from './files.ts';
import { answerNetworkFile, isNetworkFile, lightNode } from './host.ts';
import { answerRpc, isRpc } from './rpc.ts';
import { checkRtcHost, takeRtcHost } from './rtc.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';
import { answerShell, dropShellsOutOfUse, isShell, keepShellsInUse, storeShell } from './shell.ts';

/** Asked in this order; what nobody takes goes to the network. */
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
  const message = event.data as PageToWorker;
  if (message.kind === 'rtcHost' && event.ports[0]) takeRtcHost(event.ports[0], message.used);
  if (message.kind === 'claim') event.waitUntil(scope.clients.claim());
  if (message.kind === 'applyUpdate') event.waitUntil(scope.skipWaiting());
  if (message.kind === 'keepAlive') {
    event.source?.postMessage({ kind: 'alive', instance: instanceId } satisfies WorkerToPage);
    event.waitUntil(Promise.all([checkRtcHost(), dropShellsOutOfUse()]));
  }
});
