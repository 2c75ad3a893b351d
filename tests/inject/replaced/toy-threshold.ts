/** Signatures without pairings: see tests/sim/toys/toy-suite.ts. */
export { toySuite as blsSuite } from '../../sim/toys/toy-suite.ts';
