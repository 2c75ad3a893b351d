/** Queries bootstrap nodes one after the other, so that no single one decides. */
import type { LightHost } from '#network/light-host.ts';
import { isCongested } from '#network/rpc/rpc-stream.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';
import type { ElderHealthTracker } from './elder-health-tracker.ts';

export const askBootstrapMs = 6_000;

type BootstrapReply<Kind> = Extract<ClientReply, { kind: Kind }>;

export interface BootstrapQueries {
  /** Asks until `wanted` accepted replies of this kind have arrived, or every node was asked. */
  readonly ask: <Kind extends 'authority' | 'addresses'>(
    kind: Kind,
    wanted: number,
    accept: (reply: BootstrapReply<Kind>) => Promise<boolean>,
  ) => Promise<void>;
  /** The next queries start with another node. */
  readonly rotate: () => void;
}

export function createBootstrapQueries(
  host: Pick<LightHost, 'askBootstrap'>,
  nodes: number,
  health: Pick<ElderHealthTracker, 'recordBootstrap'>,
): BootstrapQueries {
  let nextFirst = 0;
  return {
    ask: async (kind, wanted, accept) => {
      const first = nextFirst;
      let accepted = 0;
      for (let tried = 0; tried < nodes && accepted < wanted; tried++) {
        const index = (first + tried) % nodes;
        const reply = await host.askBootstrap(index, encodeClientRequest({ kind }), askBootstrapMs);
        if (reply.ok || !isCongested(reply.error)) health.recordBootstrap(index, reply.ok);
        const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
        if (decoded?.ok !== true || decoded.value.kind !== kind) continue;
        if (await accept(decoded.value as BootstrapReply<typeof kind>)) accepted += 1;
      }
    },
    rotate: () => {
      nextFirst += 1;
    },
  };
}
