/** Protocols of the raw connection: a four-byte length, then that many bytes in one direction. */
export const upProtocol = '/safe-bench/up/1';
export const downProtocol = '/safe-bench/down/1';
