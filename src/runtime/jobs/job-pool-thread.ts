/** The code of a worker thread: one job at a time, bytes in, bytes out. */
import { parentPort } from 'node:worker_threads';
import { performJob, type JobReply, type JobRequest } from './job-pool-jobs.ts';

parentPort?.on('message', (request: JobRequest) => {
  let reply: JobReply;
  try {
    reply = { kind: 'done', id: request.id, result: performJob(request) };
  } catch (error) {
    // Jobs are total: a throw is our bug, and the caller must receive it.
    reply = { kind: 'failed', id: request.id, message: String((error as Error).stack ?? error) };
  }
  parentPort?.postMessage(reply);
});
