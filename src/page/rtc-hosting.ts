/**
 * One tab at a time owns the RTCPeerConnections: the holder of the Web Lock `rtc-host`. When it closes, the
 * browser gives the lock to the next tab, which offers itself to the worker.
 */
import type { PageToWorker } from '#bridge/worker-messages.ts';
import { hostRtc, type RtcHost } from '#network/rtc/page-connections.ts';

export interface RtcHosting {
  /** The worker has no host: it may have dropped this page while it was busy or frozen. */
  readonly needed: (instance: string) => void;
  /** The worker is running; a new instance id shows that it was restarted. */
  readonly alive: (instance: string) => void;
}

export function startRtcHosting(worker: () => ServiceWorker | null): RtcHosting {
  let hosting = false;
  let host: RtcHost | undefined;
  let instance: string | undefined;
  let constructed = 0;

  const offer = (): void => {
    const to = worker();
    if (!hosting || to === null) return;
    // The restarted worker cannot reach the connections of its previous run: close them now.
    host?.close();
    const { port1, port2 } = new MessageChannel();
    host = hostRtc(port1, () => ++constructed);
    const message: PageToWorker = { kind: 'rtcHost', used: constructed };
    to.postMessage(message, [port2]);
  };

  if (typeof RTCPeerConnection === 'function') {
    void navigator.locks.request('rtc-host', async () => {
      hosting = true;
      offer();
      // Held until the tab closes.
      await new Promise<never>(() => undefined);
    });
  }

  return {
    needed: (asking) => {
      instance = asking;
      offer();
    },
    alive: (asking) => {
      if (asking === instance && host !== undefined) return;
      instance = asking;
      offer();
    },
  };
}
