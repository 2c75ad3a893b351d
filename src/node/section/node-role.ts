/** The role of a node under its section's newest state, and the service for clients that belongs to it. */
import { nameToId } from '#address/xor-name.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import {
  createRedirectService,
  type ClientService,
  type ElderOptions,
  type ElderService,
} from '../requests/elder-service.ts';
import type { InheritedMoney } from '../money/elder-money.ts';
import type { NodeStanding } from './section-handle.ts';

export interface NodeRoleOptions extends Pick<ElderOptions, 'name' | 'addresses'> {
  /** Null while an earlier epoch's money is incomplete here. */
  readonly inheritedFor: (authority: SectionAuthority) => Promise<InheritedMoney | null>;
  readonly openElder: (
    elder: Pick<ElderOptions, 'secretShare' | 'inherited' | 'signed'>,
  ) => Promise<ElderService>;
}

export interface CurrentRole {
  /** The standing in force; null before the first. */
  readonly standing: () => NodeStanding | null;
  readonly service: () => ClientService | null;
  /** The section's state while this node serves as an elder of it; otherwise null. */
  readonly servedSection: () => SectionAuthority | null;
  /** Puts a standing in force; its service opens with {@link CurrentRole.open}. */
  readonly set: (standing: NodeStanding) => void;
  /** Opens the service of a standing. Under the same key an elder keeps its service. */
  readonly open: (standing: NodeStanding) => Promise<void>;
  readonly stop: () => void;
}

type Serving =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'redirects'; readonly service: ClientService }
  /** `key`: the id of the section key under which it signs. */
  | { readonly kind: 'elder'; readonly service: ElderService; readonly key: string };

export function createNodeRole(options: NodeRoleOptions): CurrentRole {
  const { name, addresses } = options;
  let standing: NodeStanding | null = null;
  let serving: Serving = { kind: 'nothing' };

  const stop = (): void => {
    if (serving.kind !== 'nothing') serving.service.stop();
  };
  const openElder = async (next: NodeStanding, secretShare: Uint8Array): Promise<void> => {
    const { authority } = next.signed;
    const inherited = await options.inheritedFor(authority);
    if (inherited === null) return; // It is opened again when all archives are here.
    const signed = () => standing?.signed ?? next.signed;
    const service = await options.openElder({ secretShare, inherited, signed });
    serving = { kind: 'elder', service, key: nameToId(authority.key) };
  };

  return {
    standing: () => standing,
    service: () => (serving.kind === 'nothing' ? null : serving.service),
    servedSection: () => (serving.kind === 'elder' ? (standing?.signed.authority ?? null) : null),
    set: (next) => {
      standing = next;
    },
    open: async (next) => {
      const { share, signed } = next;
      const key = share === null ? null : nameToId(signed.authority.key);
      if (serving.kind === 'elder' && serving.key === key) return;
      stop();
      const role = next.role === 'adult' ? 'adult' : 'outsider';
      const newest = () => standing?.signed ?? null;
      serving = {
        kind: 'redirects',
        service: createRedirectService({ name, role, signed: newest, addresses }),
      };
      if (next.role === 'elder' && share !== null) await openElder(next, share.secretShare);
    },
    stop,
  };
}
