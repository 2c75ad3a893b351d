/** Chosen at each start: a new id shows that the browser restarted the worker. */
export const instanceId = crypto.randomUUID();
