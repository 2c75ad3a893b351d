/** Instead of the light node: records its requests, and answers none. */
import { err } from '#core/result.ts';
import type { TransportPreference } from '#bridge/worker-messages.ts';
import type { NetworkFile } from '#roles/wire/network-file.ts';
import { sectionOf } from '../plain-section.ts';

export const started: {
  readonly file: NetworkFile;
  readonly preference: () => TransportPreference;
  readonly onChange: () => void;
}[] = [];
/** One line each. */
export const seen: string[] = [];

export async function startLightNode(
  file: NetworkFile,
  preference: () => TransportPreference,
  onChange: () => void,
) {
  started.push({ file, preference, onChange });
  const refuse = async (kind: string) => {
    seen.push(`elder asked ${kind}`);
    return err({ kind: 'unreachable' });
  };
  return {
    file,
    section: async () => sectionOf([11, 12, 13]),
    requestFor: (_name: unknown, _elder: unknown, { kind }: { kind: string }) => refuse(kind),
    stall: () => null,
    checkForUpdates: async () => void seen.push('checked for updates'),
    view: () => ({ network: { name: file.name, networkId: file.networkId } }),
    reconnectByPreference: () => void seen.push('reconnected'),
    stop: async () => void seen.push(`stopped ${file.name}`),
  };
}
