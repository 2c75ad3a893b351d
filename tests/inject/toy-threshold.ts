/** Signatures without pairings: see tests/sim/toy-suite.ts. */
export { toySuite as blsSuite } from '../sim/toy-suite.ts';
