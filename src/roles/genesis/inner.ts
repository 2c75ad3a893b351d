/** The two machines inside a birth, as its own: their configurations and the way of their words. */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { Lift } from '#core/compose.ts';
import type { Agreement, AgreementConfig } from '#protocol/agreement/index.ts';
import {
  plainReadyBytes,
  sortedNames,
  type Binding,
  type Dkg,
  type DkgConfig,
} from '#protocol/dkg/index.ts';
import { birthId } from './authority.ts';
import type { Genesis, GenesisConfig } from './state.ts';

export const dkgLift: Lift<Dkg, Genesis> = {
  message: (inner) => ({ kind: 'dkg', message: inner }),
  fact: (fact) => ({ kind: 'dkg', fact }),
  fault: (fault) => ({ kind: 'dkg', culprit: fault.culprit, fault }),
  timer: () => 'dkg/gossip',
  job: (job) => ({ kind: 'dkg', job }),
  jobPrefix: 'dkg/',
};

export const agreementLift = (config: GenesisConfig): Lift<Agreement, Genesis> => ({
  message: (inner) => ({ kind: 'agreement', message: inner }),
  fact: (fact) => ({ kind: 'agreement', fact }),
  fault: (fault) => ({ kind: 'agreement', culprit: fault.culprit, fault }),
  timer: (timer) => `agreement/${timer}`,
  job: ({ proposal }) => ({
    kind: 'validate',
    binding: bindingOf(config),
    candidates: sortedNames(config.candidates),
    proposal,
  }),
  jobPrefix: 'agreement/',
});

/** There is no network yet: the attempt stands for it. */
export function bindingOf(config: GenesisConfig): Binding {
  const id = birthId(config);
  return { networkId: id, sessionId: id };
}

export function dkgConfig(config: GenesisConfig): DkgConfig {
  const binding = bindingOf(config);
  const candidates = sortedNames(config.candidates);
  return {
    ...binding,
    self: config.self,
    identitySeed: config.identitySeed,
    candidates,
    fallbackKeys: candidates.map((name) => {
      const key = config.sharingKeys.get(nameToId(name));
      assert(key !== undefined, 'every founder has a sharing key');
      return key;
    }),
    fallbackSecret: config.sharingSecret,
    readyBytes: (list, keys) => plainReadyBytes(binding, list, keys),
    gossipEveryMs: config.gossipEveryMs,
    suites: config.suites,
  };
}

export function agreementConfig(config: GenesisConfig): AgreementConfig {
  const elders = sortedNames(config.candidates);
  const self = elders.find((name) => nameToId(name) === config.self);
  assert(self !== undefined, 'this node is a founder');
  return {
    networkId: birthId(config),
    key: birthId(config),
    epoch: 0n,
    generation: 0n,
    elders,
    identity: config.suites.identity,
    self,
    identitySeed: config.identitySeed,
    paceMs: config.gossipEveryMs,
    silent: false,
    subjectOf: toHex,
  };
}
