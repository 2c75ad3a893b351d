/** Updates that wait for their pairings at once: more of them say the same. */
export const maxVerifying = 8;
