/**
 * Rate limit for WebRTC-Direct listeners in Node. One unauthenticated STUN packet allocates an
 * RTCPeerConnection (about 130 kB for 10 s); without a limit 2 000 packets cost 266 MB
 * (measured). The listener asks the upgrader for an abort signal before it allocates, so a token
 * bucket there refuses the excess for almost nothing.
 */
type Transport = unknown;
type Factory<Components> = (components: Components) => Transport;

export function limitInboundDials<Components extends object, T>(
  factory: (components: Components) => T,
  perSecond: number,
): (components: Components) => T {
  const limited = (components: Components): T => {
    let tokens = perSecond;
    let lastMs = performance.now();
    const admit = (): boolean => {
      const nowMs = performance.now();
      tokens = Math.min(perSecond, tokens + ((nowMs - lastMs) * perSecond) / 1000);
      lastMs = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    };
    return factory(
      intercept(components, 'upgrader', (upgrader) =>
        intercept(upgrader as object, 'createInboundAbortSignal', (create) => {
          return (signal: AbortSignal): AbortSignal => {
            if (admit()) return (create as (s: AbortSignal) => AbortSignal)(signal);
            const refused = AbortSignal.abort(new Error('too many WebRTC handshakes at once'));
            return Object.assign(refused, { clear: () => undefined });
          };
        }),
      ),
    );
  };
  return limited satisfies Factory<Components> as (components: Components) => T;
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
