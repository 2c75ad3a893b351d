/** Runs jobs of the protocols on worker threads, so that a node answers while it verifies and signs. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import {
  clientJobs,
  type JobKind,
  type JobOf,
  type JobReply,
  type JobRequest,
  type ResultOf,
} from './job-pool-jobs.ts';

export interface JobPool {
  /** Runs one pure job. Rejects when the job throws, which is a bug of ours. */
  readonly run: <Kind extends JobKind>(kind: Kind, job: JobOf<Kind>) => Promise<ResultOf<Kind>>;
  readonly stop: () => Promise<void>;
}

interface QueuedJob {
  readonly request: JobRequest;
  readonly done: (value: never) => void;
  readonly failed: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  current: QueuedJob | undefined;
}

/** After this many section jobs in a row, a waiting client job begins. */
const maxSectionJobsInARow = 4;

/**
 * Starts threads on demand; `size` is usually the number of cores. Section jobs and client jobs have
 * separate queues: clients never occupy all threads (if there is more than one), and a free thread takes a
 * section job first.
 */
export function createJobPool(size = availableParallelism()): JobPool {
  const threads: Thread[] = [];
  const queues = new JobQueues();
  const clientThreads = Math.max(1, size - 1);
  let nextId = 1;
  let stopped = false;

  const startThread = (): Thread => {
    const worker = new Worker(new URL('./job-pool-thread.ts', import.meta.url));
    const thread: Thread = { worker, current: undefined };
    worker.on('message', (reply: JobReply) => {
      const waiting = thread.current;
      thread.current = undefined;
      worker.unref(); // An idle thread must not keep the program alive.
      if (reply.kind === 'done') waiting?.done(reply.result as never);
      else waiting?.failed(new Error(reply.message));
      dispatch();
    });
    worker.on('error', (error: Error) => removeThread(thread, error));
    worker.on('exit', () => removeThread(thread, new Error('a job thread ended')));
    threads.push(thread);
    return thread;
  };

  const removeThread = (thread: Thread, error: Error): void => {
    const at = threads.indexOf(thread);
    if (at >= 0) threads.splice(at, 1);
    thread.current?.failed(error);
    thread.current = undefined;
    if (!stopped) dispatch();
  };

  const mayServeClient = (): boolean =>
    threads.filter(({ current }) => current !== undefined && isClients(current)).length <
    clientThreads;
  const dispatch = (): void => {
    while (!queues.isEmpty()) {
      const idle = threads.find((thread) => thread.current === undefined);
      if (idle === undefined && threads.length >= size) return;
      const waiting = queues.next(mayServeClient());
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
        queues.add({ request: { id: nextId++, kind, job } as JobRequest, done, failed });
        dispatch();
      }),
    stop: async () => {
      stopped = true;
      for (const { failed } of queues.takeAll()) failed(new Error('the job pool is stopped'));
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

const isClients = ({ request }: QueuedJob): boolean => clientJobs.has(request.kind);

/** Waiting jobs, those of the section and those of clients apart, and which of them begins next. */
class JobQueues {
  readonly #section: QueuedJob[] = [];
  readonly #client: QueuedJob[] = [];
  #sectionJobsInARow = 0;

  add(job: QueuedJob): void {
    (isClients(job) ? this.#client : this.#section).push(job);
  }

  isEmpty(): boolean {
    return this.#section.length + this.#client.length === 0;
  }

  /** @param mayServeClient false while clients occupy all the threads they may. */
  next(mayServeClient: boolean): QueuedJob | undefined {
    const hasClient = mayServeClient && this.#client.length > 0;
    const clientFirst = hasClient && this.#sectionJobsInARow >= maxSectionJobsInARow;
    const section = clientFirst ? undefined : this.#section.shift();
    this.#sectionJobsInARow = section === undefined ? 0 : this.#sectionJobsInARow + 1;
    return section ?? (hasClient ? this.#client.shift() : undefined);
  }

  takeAll(): readonly QueuedJob[] {
    return [...this.#section.splice(0), ...this.#client.splice(0)];
  }
}
