/**
 * A section whose members never change: the genesis state, taken from the birth or learnt from
 * nodes that hold it. It stands in for the section's machine, which decides everything else.
 */
import { nameToId } from '#address/xor-name.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  decodeSignedAuthority,
  verifySignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { OpenSection, Standing } from './section-port.ts';

export interface FixedSectionOptions {
  readonly name: Uint8Array;
  readonly anchor: TrustAnchor;
  /** From the node's own disk; null when it has to be asked for. */
  readonly founded: SignedAuthority | null;
  readonly share: Standing['share'];
  /** Asks some node for the newest signed authority; null when nobody answered. */
  readonly ask: () => Promise<Uint8Array | null>;
}

const askEveryMs = 1_000;

export const fixedSection =
  (options: FixedSectionOptions): OpenSection =>
  async (ports) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    const standing = (signed: SignedAuthority): Standing => {
      const id = nameToId(options.name);
      const { elders, members } = signed.authority;
      const isElder = elders.some(({ name }) => nameToId(name) === id);
      const isMember = members.some(({ name }) => nameToId(name) === id);
      if (isElder && options.share !== null) return { role: 'elder', signed, share: options.share };
      return { role: isMember ? 'adult' : 'outsider', signed, share: null };
    };
    const learn = async (): Promise<void> => {
      const bytes = await options.ask();
      const decoded = bytes === null ? undefined : decodeSignedAuthority(bytes);
      const fits =
        decoded?.ok === true && verifySignedAuthority(blsSuite, options.anchor, decoded.value).ok;
      if (stopped) return;
      if (decoded?.ok !== true || !fits) {
        timer = setTimeout(() => void learn(), askEveryMs);
        return;
      }
      const now = standing(decoded.value);
      ports.adopted(now);
      if (now.role === 'outsider') {
        ports.refusedJoin('This section takes nobody in: its members were named when it was made.');
      }
    };
    if (options.founded !== null) ports.adopted(standing(options.founded));
    else void learn();
    return {
      receive: async () => undefined,
      observed: () => undefined,
      storage: () => undefined,
      faulty: () => undefined,
      stop: () => {
        stopped = true;
        clearTimeout(timer);
      },
    };
  };
