export {
  demotedAge,
  destinationOf,
  grindingPrefix,
  isWantedName,
  JOIN_AGE,
  rewardedAge,
} from './age.ts';
export { churnIdOf, churnMessageBytes, trailingZeroBits, type ChurnPoint } from './churn.ts';
export { elderCandidates, elderOrder, joinRank, rankJoiners, type Ranked } from './elders.ts';
export {
  drawMovers,
  drawsLots,
  leastMembersAfterMove,
  maxMovers,
  moversAllowed,
  type Lottery,
  type Turnover,
} from './lottery.ts';
