/** Asks one elder at a time whether a section has changed, while a page watches the network. */
import type { LightHost } from '#network/light-host.ts';
import type { ElderHealthTracker } from './elder-health-tracker.ts';
import type { ElderRequests } from './elder-requests.ts';
import type { KnownSections } from './known-sections.ts';

const checkEveryMs = 2_500;
const checkTimeoutMs = 5_000;

export interface UpdateCheckParts {
  readonly host: Pick<LightHost, 'view'>;
  readonly known: Pick<KnownSections, 'namesToPoll' | 'current'>;
  readonly elderHealth: Pick<ElderHealthTracker, 'toRecheck'>;
  readonly syncChain: ElderRequests['syncChain'];
  readonly refresh: () => Promise<unknown>;
  readonly onChange: () => void;
}

/** @returns a function that does nothing more often than every few seconds */
export function createUpdateCheck(parts: UpdateCheckParts): () => Promise<void> {
  const { host, known, elderHealth, syncChain, refresh, onChange } = parts;
  let round = 0;
  let checkedAtMs = 0;
  return async () => {
    const nowMs = Date.now();
    const names = known.namesToPoll();
    const name = names[round % names.length];
    if (name === undefined || nowMs - checkedAtMs < checkEveryMs) return;
    checkedAtMs = nowMs;
    // One elder at a time, connected ones first.
    const elders = known.current(name)?.elders ?? [];
    const connected = elders.filter((each) => host.view(each.name).state === 'connected');
    const asked = connected.length > 0 ? connected : elders;
    const elder = asked[Math.floor(round / names.length) % asked.length];
    round += 1;
    const toRecheck = elderHealth.toRecheck((each) => host.view(each).state);
    const unresponsive = toRecheck[round % toRecheck.length];
    if (unresponsive !== undefined) void syncChain(unresponsive, unresponsive.name, checkTimeoutMs);
    const read = elder !== undefined && (await syncChain(elder, name, checkTimeoutMs));
    if (!read) await refresh();
    onChange();
  };
}
