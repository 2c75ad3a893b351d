/** The inside of a worker thread: one job at a time, bytes in, bytes out. */
import { parentPort } from 'node:worker_threads';
import { performJob, type JobReply, type JobRequest } from './pool-node-jobs.ts';

parentPort?.on('message', (request: JobRequest) => {
  let reply: JobReply;
  try {
    reply = { kind: 'done', id: request.id, result: performJob(request) };
  } catch (error) {
    // Jobs are total: a throw is our bug, and whoever asked must hear of it.
    reply = { kind: 'failed', id: request.id, message: String((error as Error).stack ?? error) };
  }
  parentPort?.postMessage(reply);
});
