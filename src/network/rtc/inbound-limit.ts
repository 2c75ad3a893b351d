/**
 * Rate limit for WebRTC-Direct listeners in Node. One unauthenticated STUN packet allocates an
 * RTCPeerConnection (about 130 kB for 10 s); without a limit 2 000 packets cost 266 MB (measured). The
 * allocation starts in the listener's own `incomingConnection`, which gets the address: one bucket per
 * address and one for all refuse the excess at almost no cost. Packets of existing connections pass.
 */
import { createBuckets, hostGroup } from '../limits/inbound-limits.ts';

/** The part of the library's listener in use. */
interface DirectListener {
  readonly connections: ReadonlyMap<string, unknown>;
  incomingConnection: (
    ufrag: string,
    remoteHost: string,
    remotePort: number,
    signal: AbortSignal,
  ) => Promise<void>;
}

export function limitInboundDials<Components extends object, T>(
  factory: (components: Components) => T,
  perSecond: number,
  perAddress: number,
  now: () => number = () => performance.now(),
): (components: Components) => T {
  const ofAddress = createBuckets(perAddress, now);
  const ofAll = createBuckets(perSecond, now);
  const admit = (host: string): boolean => {
    const address = hostGroup(host);
    return (address === null || ofAddress.take(address)) && ofAll.take('all');
  };
  const limit = (listener: DirectListener): DirectListener => {
    const incoming = listener.incomingConnection.bind(listener);
    listener.incomingConnection = async (ufrag, host, port, signal) => {
      if (listener.connections.has(`${host}:${port}:${ufrag}`)) return;
      if (!admit(host)) throw new Error('too many WebRTC handshakes at once');
      return incoming(ufrag, host, port, signal);
    };
    return listener;
  };
  return (components) =>
    intercept(factory(components) as T & object, 'createListener', (create) => {
      const make = create as (...given: readonly unknown[]) => DirectListener;
      return (...given: readonly unknown[]) => limit(make(...given));
    });
}

/** The same object with one member replaced; methods keep their own `this`. */
function intercept<T extends object>(
  target: T,
  name: string,
  change: (member: unknown) => unknown,
): T {
  return new Proxy(target, {
    get: (object, key) => {
      const member: unknown = Reflect.get(object, key, object);
      const bound: unknown = typeof member === 'function' ? member.bind(object) : member;
      return key === name ? change(bound) : bound;
    },
  });
}
