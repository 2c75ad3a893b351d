/**
 * Goal: an elder whose disk is older than its words finds out by itself and contradicts nothing that
 * somebody has heard (N10, decision 17).
 * Method: handover under faults; one elder loses the end of its facts at a crash, and no
 * configuration tells it so. Every statement of the agreement that arrives is compared with those
 * before it.
 */
import { expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { wordsFor } from '#protocol/agreement/index.ts';
import { agreementConfig } from '#roles/section-node/desk.ts';
import {
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import type { Event, Step } from '#core/machine.ts';
import { runHandover } from './scenarios/handover.ts';
import type { SectionMachine } from './section-check.ts';
import { rough } from './section-world.ts';

const seeds = Array.from({ length: 40 }, (_, i) => i + 1);
const faults = {
  ...rough,
  crashProbability: 0.004,
  lostTail: { probability: 1, facts: [1, 4], maxNodes: 1 },
} as const;

interface Seen {
  readonly machine: SectionMachine;
  /** Elders of which two statements for one place arrived at somebody. */
  readonly contradicted: Set<NodeId>;
  readonly noticed: Set<NodeId>;
}

function watching(): Seen {
  const bodies = new Map<string, Uint8Array>();
  const contradicted = new Set<NodeId>();
  const noticed = new Set<NodeId>();
  const founded = new Set<NodeId>();

  const hear = (config: SectionNodeConfig, state: SectionNodeState, event: Event<SectionNode>) => {
    if (event.kind !== 'received' || event.message.payload.kind !== 'agreement') return;
    const { own } = state;
    if (own === null || !equalBytes(own.state.authority.key, event.message.key)) return;
    const { generation, message } = event.message.payload;
    const scope = agreementConfig(config, own, true);
    const from = scope.elders.find((name) => nameToId(name) === event.from);
    if (from === undefined) return;
    for (const { round, phase, body } of wordsFor(scope, from, message)) {
      const place = [toHex(scope.key), generation, event.from, round, phase].join('/');
      const before = bodies.get(place);
      if (before !== undefined && !equalBytes(before, body)) contradicted.add(event.from);
      bodies.set(place, before ?? body);
    }
  };
  const note = (config: SectionNodeConfig, step: Step<SectionNodeState, SectionNode>) => {
    if (step.state.forgot.size > 0) noticed.add(config.self);
    return step;
  };
  // The world would say which disk is old; a real node is told by nobody.
  const untold = (config: SectionNodeConfig) => ({ ...config, silentUnder: null });

  return {
    contradicted,
    noticed,
    machine: {
      start: (config, facts, context) =>
        note(config, sectionNode.start(untold(config), facts, context)),
      step: (config, state, event, context) => {
        hear(config, state, event);
        let told = event;
        if (event.kind === 'input' && event.input.kind === 'found') {
          // A birth is told once: an empty disk later is a lost one.
          const { sealed } = event.input;
          if (founded.has(config.self)) told = { kind: 'input', input: { kind: 'know', sealed } };
          else founded.add(config.self);
        }
        return note(config, sectionNode.step(untold(config), state, told, context));
      },
    },
  };
}

function runAll() {
  let [noticed, contradicted, rolledBack] = [0, 0, 0];
  for (const seed of seeds) {
    const seen = watching();
    const { nodes, liars } = runHandover(seed, { faults, restless: true, machine: seen.machine });
    if (liars.length > 0) continue;
    for (const { id } of nodes.filter((node) => node.rolledBack)) {
      rolledBack += 1;
      if (seen.noticed.has(id)) noticed += 1;
      if (seen.contradicted.has(id)) contradicted += 1;
    }
  }
  return { noticed, contradicted, rolledBack };
}

test('N10: an elder with an old disk finds out and contradicts nothing that was heard', () => {
  const { noticed, contradicted, rolledBack } = runAll();
  expect(rolledBack).toBeGreaterThan(0);
  expect(noticed).toBeGreaterThan(0);
  expect(contradicted).toBe(0);
}, 120_000);
