/** The worker's side of the RTC host: asks pages for one, takes the port, notices its loss. */
import type { WorkerToPage } from '#bridge/worker.ts';
import { attachRtcHost, detachRtcHost, hasRtcHost, probeRtcHost } from '#network/rtc/stand-in.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';

/** A page answers within a few milliseconds; without one the worker goes on over WebSocket. */
const waitForHostMs = 1_500;

const waiting: (() => void)[] = [];
let onHostChanged: () => void = () => undefined;
let asked = 0;
let present: MessagePort | undefined;

export function onRtcHostChanged(then: () => void): void {
  onHostChanged = then;
}

/** A page offered to host: its port replaces the one before. */
export function takeRtcHost(port: MessagePort, used: number): void {
  attachRtcHost(port, used);
  present = port;
  // Chromium tells when the other end is gone; elsewhere `probeRtcHost` finds out.
  port.addEventListener('close', () => loseRtcHost(port));
  for (const go of waiting.splice(0)) go();
  onHostChanged();
}

/** @param port the one that closed; an earlier host's tells nothing about the present one */
export function loseRtcHost(port?: MessagePort): void {
  if (port !== undefined && port !== present) return;
  present = undefined;
  detachRtcHost();
  onHostChanged();
}

/** Resolves when a page hosts connections, or when none does so in time. */
export async function rtcReady(): Promise<void> {
  if (hasRtcHost()) return;
  const pages = await scope.clients.matchAll({ type: 'window', includeUncontrolled: false });
  if (pages.length === 0) return;
  if (Date.now() - asked > 500) {
    asked = Date.now();
    for (const page of pages)
      page.postMessage({ kind: 'needRtcHost', instance: instanceId } satisfies WorkerToPage);
  }
  await new Promise<void>((go) => {
    waiting.push(go);
    setTimeout(go, waitForHostMs);
  });
}

/** A tab that froze or crashed says nothing: after two seconds its connections are given up. */
export async function checkRtcHost(): Promise<void> {
  const asked = present;
  // Another page may have offered meanwhile: that one has not been silent.
  if (hasRtcHost() && !(await probeRtcHost())) loseRtcHost(asked);
}
