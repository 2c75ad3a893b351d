/** The vault's end of the worker that estimates passwords. */
import type { PasswordEstimator } from '#safe/credentials/strength.ts';
import { VaultFailure } from '../failure.ts';

/** Loading the dictionaries on a slow link, then the longest estimate. */
const answerTimeoutMs = 60_000;
/** Its memory is freed when no password is being chosen any longer. */
const idleMs = 60_000;

type GuessWorker = Pick<
  Worker,
  'postMessage' | 'terminate' | 'onmessage' | 'onerror' | 'onmessageerror'
>;

interface Question {
  readonly password: string;
  readonly answer: Promise<number>;
  readonly resolve: (log10: number) => void;
  readonly reject: (why: unknown) => void;
}

/**
 * @param start starts the worker, `null` while its address is unknown; called again after a failure, because
 * a worker that could not load its dictionaries once never tries again
 * @returns an estimator that answers one password at a time; of those that wait only the newest, so that a
 * person who types on waits for two estimates at most. The others reject as `busy`.
 */
export function createGuessClient(start: () => GuessWorker | null): PasswordEstimator {
  let worker: GuessWorker | null = null;
  let idle: ReturnType<typeof setTimeout> | undefined;
  let asked: Question | undefined;
  let waiting: Question | undefined;

  const stop = (): void => {
    worker?.terminate();
    worker = null;
  };
  const started = (): GuessWorker => {
    try {
      worker ??= start();
    } catch {
      // Reported like one that does not load.
    }
    if (worker === null) throw notLoaded();
    return worker;
  };
  const ask = async (password: string): Promise<number> => {
    clearTimeout(idle);
    const running = started();
    return new Promise<number>((resolve, reject) => {
      const fail = (): void => {
        clearTimeout(late);
        stop();
        reject(notLoaded());
      };
      const late = setTimeout(fail, answerTimeoutMs);
      running.onerror = fail;
      running.onmessageerror = fail;
      running.onmessage = ({ data }: MessageEvent<unknown>) => {
        clearTimeout(late);
        idle = setTimeout(stop, idleMs);
        if (typeof data === 'number') resolve(data);
        else fail();
      };
      running.postMessage(password);
    });
  };
  // One after the other: an answer belongs to the last question.
  const askNext = async (): Promise<void> => {
    while (waiting !== undefined) {
      asked = waiting;
      waiting = undefined;
      await ask(asked.password).then(asked.resolve, asked.reject);
    }
    asked = undefined;
  };
  return async (password) => {
    const same = [asked, waiting].find((question) => question?.password === password);
    if (same !== undefined) return same.answer;
    waiting?.reject(superseded());
    waiting = newQuestion(password);
    const { answer } = waiting;
    if (asked === undefined) void askNext();
    return answer;
  };
}

function newQuestion(password: string): Question {
  let resolve: Question['resolve'] = () => undefined;
  let reject: Question['reject'] = () => undefined;
  const answer = new Promise<number>((onAnswer, onFailure) => {
    resolve = onAnswer;
    reject = onFailure;
  });
  return { password, answer, resolve, reject };
}

const superseded = (): VaultFailure =>
  new VaultFailure('busy', 'Another password was typed meanwhile. Try again.');

const notLoaded = (): VaultFailure =>
  new VaultFailure(
    'offline',
    'The word lists that passwords are checked against could not be loaded. Nothing was changed. Check your connection, then try again.',
  );
