export { demotedAge, JOIN_AGE, rewardedAge } from './age.ts';
export {
  relocationDestination,
  grindingPrefix,
  matchesGrindingPrefix,
} from './relocation-destination.ts';
export { churnIdOf, churnMessageBytes, trailingZeroBits, type ChurnPoint } from './churn-id.ts';
export { elderCandidates, elderOrder, joinRank, rankJoiners, type Ranked } from './elder-order.ts';
export {
  selectRelocations,
  holdsLottery,
  minMembersAfterRelocation,
  maxRelocations,
  relocationsAllowed,
  type RelocationLottery,
  type Turnover,
} from './relocation-lottery.ts';
