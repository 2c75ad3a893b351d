/** The worker's side of the RTC host: requests one from the pages, takes the port, detects its loss. */
import type { WorkerToPage } from '#bridge/worker-messages.ts';
import {
  attachRtcHost,
  detachRtcHost,
  hasRtcHost,
  probeRtcHost,
} from '#network/rtc/worker-proxy.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';

/** A page answers within a few milliseconds; without one the worker uses WebSocket. */
const waitForHostMs = 1_500;

const waiting: (() => void)[] = [];
let onHostChanged: () => void = () => undefined;
let requestedAtMs = 0;
let currentPort: MessagePort | undefined;

export function onRtcHostChanged(then: () => void): void {
  onHostChanged = then;
}

/** A page offered to host: its port replaces the previous one. */
export function acquireRtcHost(port: MessagePort, used: number): void {
  attachRtcHost(port, used);
  currentPort = port;
  // Chromium reports when the other end is gone; elsewhere `probeRtcHost` detects it.
  port.addEventListener('close', () => releaseRtcHost(port));
  for (const go of waiting.splice(0)) go();
  onHostChanged();
}

/** @param port the port that closed; the port of an earlier host is ignored */
export function releaseRtcHost(port?: MessagePort): void {
  if (port !== undefined && port !== currentPort) return;
  currentPort = undefined;
  detachRtcHost();
  onHostChanged();
}

/** Resolves when a page hosts connections, or when none offered in time. */
export async function rtcReady(): Promise<void> {
  if (hasRtcHost()) return;
  const pages = await scope.clients.matchAll({ type: 'window', includeUncontrolled: false });
  if (pages.length === 0) return;
  if (Date.now() - requestedAtMs > 500) {
    requestedAtMs = Date.now();
    for (const page of pages)
      page.postMessage({ kind: 'needRtcHost', instance: instanceId } satisfies WorkerToPage);
  }
  await new Promise<void>((go) => {
    waiting.push(go);
    setTimeout(go, waitForHostMs);
  });
}

/** A frozen or crashed tab does not answer: after two seconds its connections are closed. */
export async function checkRtcHost(): Promise<void> {
  const probedPort = currentPort;
  // Another page may have offered meanwhile: the probe does not apply to that one.
  if (hasRtcHost() && !(await probeRtcHost())) releaseRtcHost(probedPort);
}
