/** Configurations of the two inner machines, and the mapping of their effects to genesis effects. */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { Lift } from '#core/lift-effects.ts';
import type { Agreement, AgreementConfig } from '#protocol/agreement/index.ts';
import {
  defaultReadyBytes,
  sortedNames,
  type Binding,
  type Dkg,
  type DkgConfig,
} from '#protocol/dkg/index.ts';
import { genesisAttemptId } from './genesis-authority.ts';
import type { Genesis, GenesisConfig } from './state.ts';

export const dkgLift: Lift<Dkg, Genesis> = {
  message: (inner) => ({ kind: 'dkg', message: inner }),
  fact: (fact) => ({ kind: 'dkg', fact }),
  fault: (fault) => ({ kind: 'dkg', culprit: fault.culprit, fault }),
  timer: () => ({ kind: 'dkg' }),
  job: (job) => ({ kind: 'dkg', job }),
  jobId: (id) => ({ kind: 'dkg', id }),
};

export const agreementLift = (config: GenesisConfig): Lift<Agreement, Genesis> => ({
  message: (inner) => ({ kind: 'agreement', message: inner }),
  fact: (fact) => ({ kind: 'agreement', fact }),
  fault: (fault) => ({ kind: 'agreement', culprit: fault.culprit, fault }),
  timer: (timer) => ({ kind: 'agreement', timer }),
  job: ({ proposal }) => ({
    kind: 'validate',
    binding: genesisBinding(config),
    candidates: sortedNames(config.candidates),
    proposal,
  }),
  jobId: (id) => ({ kind: 'agreement', id }),
});

/** There is no network yet: the attempt id replaces the network id. */
export function genesisBinding(config: GenesisConfig): Binding {
  const id = genesisAttemptId(config);
  return { networkId: id, sessionId: id };
}

export function genesisDkgConfig(config: GenesisConfig): DkgConfig {
  const binding = genesisBinding(config);
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
    readyBytes: (list, keys) => defaultReadyBytes(binding, list, keys),
    gossipEveryMs: config.gossipEveryMs,
    suites: config.suites,
  };
}

export function genesisAgreementConfig(config: GenesisConfig): AgreementConfig {
  const elders = sortedNames(config.candidates);
  const self = elders.find((name) => nameToId(name) === config.self);
  assert(self !== undefined, 'this node is a founder');
  return {
    networkId: genesisAttemptId(config),
    key: genesisAttemptId(config),
    epoch: 0n,
    generation: 0n,
    elders,
    identity: config.suites.identity,
    self,
    identitySeed: config.identitySeed,
    roundTimeoutMs: config.gossipEveryMs,
    abstain: false,
    subjectOf: toHex,
  };
}
