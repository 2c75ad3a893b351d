/** An attacker's connections: requests under any key, and raw bytes for broken frames. */
import type { Stream } from '@libp2p/interface';
import { createDialOnlyHost, type NodeHost } from '#network/node-host.ts';
import type { ProtocolKind } from '#network/protocols.ts';
import { decodeMintAnswer } from '#protocol/mint/index.ts';
import { decodeSpentbookAnswer } from '#protocol/spentbook/index.ts';
import { decodeClientReply } from '#roles/wire/client.ts';
import { decodeNodeReply } from '#roles/wire/node-requests.ts';
import { failuresPerKey, type FreshKeys } from '../e2e/support/raw-peer.ts';
import type { Outcome } from './attempt.ts';
import type { NodePlace, Target } from './target.ts';

const timeoutMs = 8_000;

export interface FreshNames {
  readonly ask: (kind: ProtocolKind, to: NodePlace, request: Uint8Array) => Promise<Outcome>;
  readonly stop: () => Promise<void>;
}

/** Sends requests as a peer that takes a new key whenever it is disconnected. */
export function openFreshNames(target: Target): FreshNames {
  let host: Promise<NodeHost> | null = null;
  let failures = 0;
  const renew = async (): Promise<void> => {
    const old = host;
    host = null;
    failures = 0;
    await (await old)?.stop().catch(() => undefined);
  };
  return {
    ask: async (kind, to, request) => {
      host ??= createDialOnlyHost();
      const outcome = await askWith(await host, target, kind, to, request);
      failures = outcome === 'cut' ? failures + 1 : 0;
      if (failures >= failuresPerKey) await renew();
      return outcome;
    },
    stop: renew,
  };
}

/** Sends one request from a host with its own key and classifies the outcome. */
export async function askWith(
  host: NodeHost,
  target: Target,
  kind: ProtocolKind,
  to: NodePlace,
  request: Uint8Array,
): Promise<Outcome> {
  const place = { name: to.name, addresses: [to.tcp] };
  const answer = await host.request(place, kind, target.tag, request, { timeoutMs });
  if (!answer.ok) return answer.error.kind === 'timeout' ? 'unanswered' : 'cut';
  return kind === 'client' ? clientOutcome(answer.value) : nodeOutcome(answer.value);
}

/**
 * Replies of spentbook or mint to a valid request: a share, or a signature that an output is
 * stored.
 */
const signed: ReadonlySet<string> = new Set(['prepared', 'committed', 'registered']);

function clientOutcome(bytes: Uint8Array): Outcome {
  const reply = decodeClientReply(bytes);
  if (!reply.ok) return 'refused';
  const { value } = reply;
  if (value.kind === 'refused') return 'refused';
  if (value.kind === 'money') {
    const [slot, output] = [decodeSpentbookAnswer(value.message), decodeMintAnswer(value.message)];
    const isSigned = [slot, output].some((each) => each.ok && signed.has(each.value.kind));
    return isSigned ? 'served' : 'refused';
  }
  if (value.kind === 'stored' || value.kind === 'pointerStored') {
    return value.receipts.length === 0 ? 'refused' : 'served';
  }
  if (value.kind === 'pointers') {
    return value.copies.every(({ record }) => record === null) ? 'refused' : 'served';
  }
  return 'served';
}

function nodeOutcome(bytes: Uint8Array): Outcome {
  const reply = decodeNodeReply(bytes);
  return !reply.ok || reply.value.kind === 'refused' ? 'refused' : 'served';
}

/** Opens a stream, passes it to `write`, and aborts it afterwards. */
export async function onStream(
  peer: FreshKeys,
  address: string,
  protocol: string,
  write: (stream: Stream) => Promise<void>,
): Promise<Outcome> {
  try {
    const stream = await peer.open(address, protocol, timeoutMs);
    try {
      await write(stream);
      const isCut = stream.status !== 'open';
      peer.report(isCut ? 'cut' : 'open');
      return isCut ? 'cut' : 'unanswered';
    } finally {
      stream.abort(new Error('done'));
    }
  } catch {
    peer.report('cut');
    return 'cut';
  }
}
