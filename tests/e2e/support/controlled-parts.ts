/**
 * Nodes with switches for tests. They are the product's own nodes; only their hosts and their section's
 * handle are wrapped, and the program's HTTP port has the paths that operate the switches.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { nameToId } from '#address/xor-name.ts';
import { err } from '#core/result.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import type { JsonAnswer, JsonHandler } from '#node/http/http-server.ts';
import { networkParts, type NodeParts } from '#node/programs/node-parts.ts';
import { refusalReply } from '#node/requests/client-handler.ts';
import type { SectionHandle } from '#node/section/section-handle.ts';
import { decodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import { maxVacancies } from '#protocol/membership/index.ts';
import {
  decodeClientRequest,
  decodeIncomingRequest,
  encodeClientReply,
} from '#roles/wire/client.ts';
import { faultyAdult, isAdultMode, type FaultyAdult } from '../../support/faulty-adult.ts';

type Handler = Parameters<NodeHost['serve']>[2];

export function controlledParts(): NodeParts {
  const adults: FaultyAdult<[Remote]>[] = [];
  let newest: FaultyAdult<[Remote]> | null = null;
  let registering = true;
  let committing = true;
  let cut: ReadonlySet<string> = new Set();
  let section: SectionHandle | null = null;

  const isCut = (name: Uint8Array | null): boolean => name !== null && cut.has(nameToId(name));
  const exceptCut =
    (handler: Handler): Handler =>
    async (request, from) => {
      if (isCut(from.name)) throw new Error('cut off');
      const reply = await handler(request, from);
      if (isCut(from.name)) throw new Error('cut off');
      return reply;
    };
  const exceptRefused =
    (handler: Handler): Handler =>
    async (request, from) => {
      const kind = moneyRequestOf(request);
      const refused = (kind === 'register' && !registering) || (kind === 'commit' && !committing);
      if (!refused) return handler(request, from);
      return encodeClientReply(refusalReply({ kind: 'busy', afterMs: 1_000 }));
    };

  const createHost: NodeParts['createHost'] = async (options) => {
    const host = await networkParts.createHost(options);
    return {
      ...host,
      serve: (kind, tag, handler) => {
        if (kind === 'client') return host.serve(kind, tag, exceptCut(exceptRefused(handler)));
        if (kind !== 'data') return host.serve(kind, tag, exceptCut(handler));
        const adult = faultyAdult(handler);
        newest = adult;
        if (options.role === 'adult') adults.push(adult);
        return host.serve(kind, tag, exceptCut(adult.handle));
      },
      request: async (to, ...rest) => {
        if (isCut(to.name)) return err({ kind: 'unreachable' });
        const answer = await host.request(to, ...rest);
        return isCut(to.name) ? err({ kind: 'unreachable' }) : answer;
      },
      checkReachable: async (to, options) =>
        !isCut(to.name) && (await host.checkReachable(to, options)) && !isCut(to.name),
    };
  };

  return {
    createHost,
    runSection: (options) => async (callbacks) =>
      (section = await networkParts.runSection(options)(callbacks)),
    posts: {
      /** `{"index": 0, "mode": "off" | "lie" | "ok"}`; without an index the program's only node. */
      '/test/adult': async (body) => {
        const { index, mode } = fieldsOf(body);
        const adult = typeof index === 'number' ? adults[index] : newest;
        if (adult === undefined || adult === null || !isAdultMode(mode)) return malformed;
        adult.setMode(mode);
        return done({ mode });
      },
      /** `{"registering": false, "committing": true}`: all elders answer REGISTER, or COMMIT, with "busy". */
      '/test/elders': async (body) => {
        const next = { registering, committing, ...fieldsOf(body) };
        if (typeof next.registering !== 'boolean' || typeof next.committing !== 'boolean') {
          return malformed;
        }
        ({ registering, committing } = next);
        return done({ registering, committing });
      },
      /** `{"names": ["5b…"]}`: no requests to or from these nodes. */
      '/test/cut': async (body) => {
        const { names } = fieldsOf(body);
        if (!Array.isArray(names) || !names.every(isNameId)) return malformed;
        cut = new Set(names);
        return done({ cut: cut.size });
      },
      /** `{"places": 4}`: this elder observes this need of nodes (N39); null: none. */
      '/test/storage': async (body) => {
        const { places } = fieldsOf(body);
        const isCount = typeof places === 'number' && places >= 0 && places <= maxVacancies;
        if (section === null || (places !== null && !isCount)) return malformed;
        section.setVacancies(isCount ? places : null);
        return done({ places });
      },
      '/test/memory': memoryReport(),
    },
  };
}

const malformed: JsonAnswer = { status: 400, body: { error: 'malformed' } };
const done = (body: object): JsonAnswer => ({ status: 200, body });
const fieldsOf = (body: unknown): Readonly<Record<string, unknown>> =>
  (body ?? {}) as Readonly<Record<string, unknown>>;
const isNameId = (each: unknown): each is string =>
  typeof each === 'string' && /^[0-9a-f]{64}$/.test(each);

function moneyRequestOf(bytes: Uint8Array): 'register' | 'commit' | null {
  const request = decodeIncomingRequest(bytes);
  if (!request.ok) return null;
  const routed =
    request.value.kind === 'routed' ? decodeClientRequest(request.value.request) : null;
  const inner = routed?.ok === true ? routed.value : request.value;
  if (inner.kind === 'output') return 'register';
  if (inner.kind !== 'slot') return null;
  const message = decodeSpentbookRequest(inner.slot, inner.message);
  return message.ok && message.value.kind === 'commit' ? 'commit' : null;
}

/** Bytes in use after a collection, so that a leak is visible. */
function memoryReport(): JsonHandler {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return async () => {
    for (let round = 0; round < 3; round++) {
      collect();
      await new Promise((turn) => setTimeout(turn, 100)); // Finalizers run between turns.
    }
    const { heapUsed, external } = process.memoryUsage();
    return done({ bytes: heapUsed + external, pid: process.pid });
  };
}
