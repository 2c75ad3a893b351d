import { assertNever } from './assert.ts';
import type { Effect, Protocol } from './machine.ts';

/** Maps the effects of a child protocol to its parent's. */
export interface Lift<Child extends Protocol, Parent extends Protocol> {
  readonly message: (message: Child['message']) => Parent['message'];
  readonly fact: (fact: Child['fact']) => Parent['fact'];
  readonly fault: (fault: Child['fault']) => Parent['fault'];
  readonly timer: (timer: Child['timer']) => Parent['timer'];
  readonly job: (job: Child['job']) => Parent['job'];
  /** Wraps the child's job ids, so that the parent can route the result back. */
  readonly jobId: (id: Child['jobId']) => Parent['jobId'];
}

/**
 * Rewrites a child's effects as its parent's, in the same order. Outputs are returned separately:
 * the parent decides what follows from them.
 */
export function lift<Child extends Protocol, Parent extends Protocol>(
  effects: readonly Effect<Child>[],
  by: Lift<Child, Parent>,
): { readonly effects: readonly Effect<Parent>[]; readonly outputs: readonly Child['output'][] } {
  const lifted: Effect<Parent>[] = [];
  const outputs: Child['output'][] = [];
  for (const effect of effects) {
    switch (effect.kind) {
      case 'persist':
        lifted.push({ kind: 'persist', fact: by.fact(effect.fact) });
        break;
      case 'send':
        lifted.push({ kind: 'send', to: effect.to, message: by.message(effect.message) });
        break;
      case 'setTimer':
        lifted.push({ kind: 'setTimer', timer: by.timer(effect.timer), afterMs: effect.afterMs });
        break;
      case 'clearTimer':
        lifted.push({ kind: 'clearTimer', timer: by.timer(effect.timer) });
        break;
      case 'compute':
        lifted.push({ kind: 'compute', id: by.jobId(effect.id), job: by.job(effect.job) });
        break;
      case 'blame':
        lifted.push({ kind: 'blame', fault: by.fault(effect.fault) });
        break;
      case 'output':
        outputs.push(effect.output);
        break;
      default:
        assertNever(effect);
    }
  }
  return { effects: lifted, outputs };
}
