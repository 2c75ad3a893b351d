/** Protocols of the raw road: four bytes say how much, then so many bytes go one way. */
export const upProtocol = '/safe-bench/up/1';
export const downProtocol = '/safe-bench/down/1';
