/**
 * One unlocking, from the first use of a phrase or password until Lock. It owns every key, and everything
 * done for the Safe uses its ports. So no caller has to check whether the Safe is still open: after {@link
 * Session.close} keys refuse, nothing is written or sent, and pending reads are rejected.
 */
import type { VaultContext } from '../context.ts';
import { safeIsLocked } from '../failure.ts';
import type { VaultPorts } from '../ports.ts';
import { createWorkerRpc, type WorkerRpc } from '../network/worker-rpc.ts';

export interface Session {
  /** Fires when the Safe is locked: everything that runs for it stops. */
  readonly closed: AbortSignal;
  /** The context as usable while the Safe is open; later every call rejects with `locked`. */
  readonly context: VaultContext;
  /** For calls that outlive the session: revoking the worker's read keys. */
  readonly outlivingRpc: WorkerRpc;
  /** Wipes the key when the session ends; if it has ended, wipes it immediately and throws. */
  readonly wipeOnClose: <Key extends Wipeable>(key: Key) => Key;
  readonly close: () => void;
}

interface Wipeable {
  wipe(): void;
}

/** @param network hex of the id of the Safe's network, `null` while unknown */
export function openSession(context: VaultContext, network: () => string | null): Session {
  const controller = new AbortController();
  const closed = controller.signal;
  const keys = new Set<Wipeable>();
  const ports = guardPorts(context.ports, closed);
  const rpc = createWorkerRpc(ports.fetch, {
    network,
    onUncontrolled: context.uncontrolled,
    onOtherNetwork: () => void context.fetchServedNetwork(),
  });
  return {
    closed,
    context: { ...context, ports, rpc },
    outlivingRpc: context.rpc,
    wipeOnClose: (key) => {
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
 * The same ports, bound to one unlocking. Reads are refused before and after, so that no caller acts on a
 * late result. Writes are refused only before: a completed write may be reported.
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
      // Also when it failed: `locked` is the error that matters then.
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
