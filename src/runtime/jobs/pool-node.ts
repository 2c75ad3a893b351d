/** Jobs of the protocols on worker threads, so that a node answers while it verifies and signs. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import {
  clientJobs,
  type JobKind,
  type JobOf,
  type JobReply,
  type JobRequest,
  type ResultOf,
} from './pool-node-jobs.ts';

export interface JobPool {
  /** Runs one pure job. Rejects when the job throws, which is a bug of ours. */
  readonly run: <Kind extends JobKind>(kind: Kind, job: JobOf<Kind>) => Promise<ResultOf<Kind>>;
  readonly stop: () => Promise<void>;
}

interface Waiting {
  readonly request: JobRequest;
  readonly done: (value: never) => void;
  readonly failed: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  current: Waiting | undefined;
}

/** After so many jobs of the section in a row one of a client begins, if one waits. */
const sectionInARow = 4;

/**
 * Starts threads when they are first needed; `size` is usually the number of cores. The section's
 * jobs and the clients' wait in queues of their own: clients never have all threads (if there is
 * more than one), and a thread that is free takes the section's job first.
 */
export function createJobPool(size = availableParallelism()): JobPool {
  const threads: Thread[] = [];
  const sectionQueue: Waiting[] = [];
  const clientQueue: Waiting[] = [];
  const clientThreads = Math.max(1, size - 1);
  let inARow = 0;
  let nextId = 1;
  let stopped = false;

  const startThread = (): Thread => {
    const worker = new Worker(new URL('./pool-node-thread.ts', import.meta.url));
    const thread: Thread = { worker, current: undefined };
    worker.on('message', (reply: JobReply) => {
      const waiting = thread.current;
      thread.current = undefined;
      worker.unref(); // An idle thread keeps no program alive.
      if (reply.kind === 'done') waiting?.done(reply.result as never);
      else waiting?.failed(new Error(reply.message));
      feed();
    });
    worker.on('error', (error: Error) => lose(thread, error));
    worker.on('exit', () => lose(thread, new Error('a job thread ended')));
    threads.push(thread);
    return thread;
  };

  const lose = (thread: Thread, error: Error): void => {
    const at = threads.indexOf(thread);
    if (at >= 0) threads.splice(at, 1);
    thread.current?.failed(error);
    thread.current = undefined;
    if (!stopped) feed();
  };

  const isClients = ({ request }: Waiting): boolean => clientJobs.has(request.kind);
  const next = (): Waiting | undefined => {
    const atWork = threads.filter(({ current }) => current !== undefined && isClients(current));
    const client = atWork.length < clientThreads ? clientQueue[0] : undefined;
    const clientFirst = client !== undefined && inARow >= sectionInARow;
    const section = clientFirst ? undefined : sectionQueue.shift();
    inARow = section === undefined ? 0 : inARow + 1;
    return section ?? (client === undefined ? undefined : clientQueue.shift());
  };
  const feed = (): void => {
    while (sectionQueue.length + clientQueue.length > 0) {
      const idle = threads.find((thread) => thread.current === undefined);
      if (idle === undefined && threads.length >= size) return;
      const waiting = next();
      if (waiting === undefined) return;
      const thread = idle ?? startThread();
      thread.current = waiting;
      thread.worker.ref();
      thread.worker.postMessage(waiting.request);
    }
  };

  return {
    run: (kind, job) =>
      new Promise((done, failed) => {
        if (stopped) {
          failed(new Error('the job pool is stopped'));
          return;
        }
        const queue = clientJobs.has(kind) ? clientQueue : sectionQueue;
        queue.push({
          request: { id: nextId++, kind, job } as JobRequest,
          done,
          failed,
        });
        feed();
      }),
    stop: async () => {
      stopped = true;
      for (const { failed } of [...sectionQueue.splice(0), ...clientQueue.splice(0)])
        failed(new Error('the job pool is stopped'));
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}
