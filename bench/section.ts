/**
 * Communication costs of sections: messages and bytes of a membership decision, a key generation, a
 * handover and a repair, how they grow with the number of members, and one decision's time compared
 * with its required cryptography. The nodes are complete; the network is simulated.
 */
import { blsPublicKey, blsScalars, blsSign, blsVerify } from '#crypto/bls.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  measureDecision,
  measureHandover,
  measureRepair,
} from '../tests/sim/section/message-budget.ts';
import { median, report, row, printLine } from './support/report.ts';

const sizes = [10, 20, 40, 80];

/** b of cost = a·sizeᵇ, by least squares in the logarithms. */
function exponent(points: readonly (readonly [size: number, cost: number])[]): number {
  const logs = points.map(([size, cost]) => [Math.log(size), Math.log(cost)] as const);
  const mean = (at: 0 | 1): number => logs.reduce((sum, each) => sum + each[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const above = logs.reduce((sum, each) => sum + (each[0] - x) * (each[1] - y), 0);
  const below = logs.reduce((sum, each) => sum + (each[0] - x) ** 2, 0);
  return above / below;
}

printLine('Decisions …');
const decisions = sizes.map((size) => [size, measureDecision(size)] as const);
const at = <T>(list: readonly (readonly [number, T])[], size: number): T => {
  const found = list.find(([each]) => each === size)?.[1];
  if (found === undefined) throw new Error(`no measurement of ${size}`);
  return found;
};
printLine('Handovers …');
const startedMs = performance.now();
const handovers = [14, 28, 56].map((size) => [size, measureHandover(size)] as const);
const tookMs = performance.now() - startedMs;
const events = handovers.reduce((sum, [, { events: count }]) => sum + count, 0);
printLine('Repairs …');
const repairs = sizes.map((size) => [size, measureRepair(size)] as const);

printLine('The curves …');
const cost = (call: () => unknown): number => {
  const took: number[] = [];
  for (let n = 0; n < 9; n++) {
    const before = performance.now();
    call();
    if (n >= 2) took.push(performance.now() - before);
  }
  return median(took);
};
const message = sha256(Uint8Array.of(1));
const secret = blsScalars.reduce(new Uint8Array(64).fill(9));
const blsKey = blsPublicKey(secret);
const sign = cost(() => blsSign(secret, 'PROBE', message));
const signature = blsSign(secret, 'PROBE', message);
const verify = cost(() => blsVerify(blsKey, 'PROBE', message, signature));
const coefficients = Array.from({ length: 5 }, (_, k) =>
  blsScalars.reduce(new Uint8Array(64).fill(k + 3)),
);
const shares = Array.from({ length: 5 }, (_, i) => ({
  index: i + 1,
  signature: blsSuite.sign(blsScalars.evaluate(coefficients, i + 1), 'PROBE', message),
}));
const combine = cost(() => blsSuite.combine(shares));
const name = ed25519PublicKey(secret);
const signatureBytes = signEd25519(secret, message);
const edSign = cost(() => signEd25519(secret, message));
const edVerify = cost(() => verifyEd25519(name, message, signatureBytes));

/** One elder: two shares and two combined signatures; its own statements, and those of six others. */
const thresholdMs = 2 * (sign + combine + verify);
const signaturesMs = 3 * edSign + 6 * 3 * edVerify;

const decision = at(decisions, 40).decision;
const handover = at(handovers, 28);
const repair = at(repairs, 40);
report('section', [
  row('decision40.messages', decision.messages, 'messages'),
  row('decision40.bytes', decision.bytes, 'B'),
  row(
    'decision.messages.exponent',
    exponent(decisions.map(([n, d]) => [n, d.decision.messages])),
    '',
  ),
  row('decision.bytes.exponent', exponent(decisions.map(([n, d]) => [n, d.decision.bytes])), ''),
  row('dkg7.messages', handover.keyGeneration.messages, 'messages'),
  row('dkg7.toyBytes', handover.keyGeneration.bytes, 'B'),
  row('handover28.messages', handover.handover.messages, 'messages'),
  row('handover28.bytes', handover.handover.bytes, 'B'),
  row(
    'handover.messages.exponent',
    exponent(handovers.map(([n, h]) => [n, h.handover.messages])),
    '',
  ),
  row('repair40.messages', repair.answers / Math.max(1, repair.rounds), 'messages/round'),
  row('repair40.bytes', repair.repair.bytes / Math.max(1, repair.answers), 'B/answer'),
  row('decision.crypto', thresholdMs + signaturesMs, 'ms', {
    name: 'threshold signatures alone',
    value: thresholdMs,
  }),
  row('simulator', (1000 * events) / tookMs, 'events/s'),
]);
