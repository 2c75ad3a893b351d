/** Keeps {@link Answering} for the light node: who is noted, who is asked again, who is forgotten. */
import { nameToId } from '#address/xor-name.ts';
import type { ElderView, RoadPreference, StallView } from '#bridge/worker.ts';
import { isCongested, type RpcError } from '#network/rpc.ts';
import {
  answersNow,
  keepOnly,
  noteCall,
  nobodyAsked,
  stallOf,
  type Answering,
} from './answering.ts';
import type { Elder, KnownSections, Section } from './known-sections.ts';

export interface WhoAnswers {
  readonly note: (elder: Uint8Array, answers: boolean) => void;
  readonly noteBootstrap: (index: number, answers: boolean) => void;
  readonly stall: (section: Section) => StallView | null;
  /** Elders to ask again while somebody watches: one that is away may have come back. */
  readonly inDoubt: (state: (name: Uint8Array) => ElderView['state']) => readonly Elder[];
  /** The sections have moved on: whoever is no elder any more says nothing about them. */
  readonly sectionsChanged: () => void;
  /** Other roads are taken from now on: what failed on the old ones tells nothing. */
  readonly forget: () => void;
}

export function watchWhoAnswers(
  known: Pick<KnownSections, 'sections'>,
  bootstraps: number,
  onChange: () => void,
): WhoAnswers {
  let answering: Answering = nobodyAsked;
  const note = (peer: string, answers: boolean): void => {
    answering = noteCall(answering, peer, answers);
    if ([...answering.peers.values()].some(({ kind }) => kind === 'silent')) onChange();
  };
  return {
    note: (elder, answers) => note(nameToId(elder), answers),
    noteBootstrap: (index, answers) => note(bootstrapId(index), answers),
    stall: (section) => stallOf(answering, section.authority.prefix, idsOf(section)),
    inDoubt: (state) =>
      known
        .sections()
        .flatMap(({ elders }) => elders)
        .filter(({ name }) => {
          const heard = answersNow(answering, nameToId(name));
          return heard === false || (heard === true && state(name) !== 'connected');
        }),
    sectionsChanged: () => {
      const elders = known.sections().flatMap(idsOf);
      const asked = Array.from({ length: bootstraps }, (_, index) => bootstrapId(index));
      answering = keepOnly(answering, new Set([...elders, ...asked]));
    },
    forget: () => {
      answering = nobodyAsked;
    },
  };
}

/**
 * A road that the person chose may lead nowhere while the elder is well: that tells nothing, and
 * neither does an answer that is late while our own bytes fill the link.
 */
export const isSilence = (error: RpcError, preference: RoadPreference): boolean =>
  !isCongested(error) &&
  (error.kind === 'timeout' || (error.kind === 'unreachable' && preference === 'automatic'));

const bootstrapId = (index: number): string => `bootstrap ${index}`;
const idsOf = ({ elders }: Section): readonly string[] => elders.map(({ name }) => nameToId(name));
