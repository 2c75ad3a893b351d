/**
 * One unlocking, from the first look at a phrase or password until Lock. Every key hangs on it, and
 * everything that is done for the Safe goes through its ports. So nothing has to remember to ask
 * whether the Safe is still open: after {@link Session.close} keys refuse, nothing is written or
 * sent, and what was being read does not arrive.
 */
import type { VaultContext } from './context.ts';
import { safeIsLocked } from './failure.ts';
import type { VaultPorts } from './ports.ts';
import { createRpc, type Rpc } from './rpc.ts';

export interface Session {
  /** Fires when the Safe is locked: everything that runs for it stops. */
  readonly closed: AbortSignal;
  /** The world as it may be used while the Safe is open; every call rejects with `locked` later. */
  readonly context: VaultContext;
  /** Calls that outlive the Safe: taking back from the worker what it was given. */
  readonly afterwards: Rpc;
  /** Wipes the key when the session ends; at once, and throws, when it has ended. */
  readonly keep: <Key extends Wipeable>(key: Key) => Key;
  readonly close: () => void;
}

interface Wipeable {
  wipe(): void;
}

/** @param network hex of the id of the network that the Safe belongs to, `null` while unknown */
export function openSession(outer: VaultContext, network: () => string | null): Session {
  const controller = new AbortController();
  const closed = controller.signal;
  const keys = new Set<Wipeable>();
  const ports = guardPorts(outer.ports, closed);
  const rpc = createRpc(ports.fetch, {
    network,
    onUncontrolled: outer.uncontrolled,
    onOtherNetwork: () => void outer.askNetwork(),
  });
  return {
    closed,
    context: { ...outer, ports, rpc },
    afterwards: outer.rpc,
    keep: (key) => {
      if (closed.aborted) {
        key.wipe();
        throw safeIsLocked();
      }
      keys.add(key);
      return key;
    },
    close: () => {
      controller.abort();
      for (const key of keys) key.wipe();
      keys.clear();
    },
  };
}

/**
 * The same ports, for one unlocking. Reading is refused before and after, so that nobody acts on
 * what arrives late. Writing is refused before only: what was written is written, and its caller
 * may know it.
 */
function guardPorts(ports: VaultPorts, closed: AbortSignal): VaultPorts {
  const refuse = (): void => {
    if (closed.aborted) throw safeIsLocked();
  };
  const write =
    <Arguments extends unknown[], Value>(call: (...values: Arguments) => Promise<Value>) =>
    async (...values: Arguments): Promise<Value> => {
      refuse();
      return call(...values);
    };
  const read =
    <Arguments extends unknown[], Value>(call: (...values: Arguments) => Promise<Value>) =>
    async (...values: Arguments): Promise<Value> => {
      refuse();
      // Also when it failed: that the Safe was locked is what matters then.
      const value = await call(...values).finally(refuse);
      return value;
    };
  const { store } = ports;
  return {
    ...ports,
    fetch: read((path, init = {}) => {
      const signal = init.signal ? AbortSignal.any([init.signal, closed]) : closed;
      return ports.fetch(path, { ...init, signal });
    }),
    withLock: (name, body) =>
      ports.withLock(name, async () => {
        refuse();
        return body();
      }),
    stretch: read((password, salt, parameters) => ports.stretch(password, salt, parameters)),
    store: {
      listSafes: read(() => store.listSafes()),
      getSafe: read((id) => store.getSafe(id)),
      putSafe: write((record) => store.putSafe(record)),
      deleteSafe: write((id) => store.deleteSafe(id)),
      wrap: read((bytes, about) => store.wrap(bytes, about)),
      unwrap: read((wrapped, about) => store.unwrap(wrapped, about)),
      listPlans: read((owner) => store.listPlans(owner)),
      getPlan: read((id) => store.getPlan(id)),
      putPlan: write((plan) => store.putPlan(plan)),
      deletePlan: write((id) => store.deletePlan(id)),
      markPiece: write((id, index, name) => store.markPiece(id, index, name)),
      listPieces: read((id) => store.listPieces(id)),
    },
  };
}
