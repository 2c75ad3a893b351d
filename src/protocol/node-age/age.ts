/** Node age, the last byte of the name, so a new age needs a new name (AGE-A2). */

/** Every node joins at this age, founders included. */
export const JOIN_AGE = 5;
/** The age is one byte. */
const HIGHEST_AGE = 255;

/** The age after a relocation. */
export const rewardedAge = (age: number): number => Math.min(age + 1, HIGHEST_AGE);

/** The age after a demotion. */
export const demotedAge = (age: number): number => Math.max(JOIN_AGE, Math.floor(age / 2));
