/**
 * The failures of disks and data folders, each as one sentence with a next step. They stop the program;
 * peers never see them.
 */

export type ProblemKind =
  /** No space left, or a quota is used up. */
  | 'full'
  /** The bytes on disk are not what we wrote, or the disk refuses. */
  | 'broken'
  /** Another process holds the folder. */
  | 'locked'
  /** Written by a different version of this program. */
  | 'olderFormat'
  | 'newerFormat'
  /** No permission to read or write there. */
  | 'notPermitted'
  /** A port is taken. */
  | 'portTaken';

/** How a person starts over, as the end of a sentence: each program offers its own. */
export const startOver = {
  withFresh: 'start a new network with --fresh (the old folder is kept beside it)',
  inOtherFolder: 'choose another folder with --data DIR',
} as const;
export type StartOver = (typeof startOver)[keyof typeof startOver];

/** Thrown by storage and start-up; `message` is the line that `npm start` shows to a person. */
export class Problem extends Error {
  readonly kind: ProblemKind;
  /** The line for a program with this way to start over. */
  readonly sentence: (way: StartOver) => string;

  constructor(kind: ProblemKind, sentence: string | ((way: StartOver) => string)) {
    const sentenceFor = typeof sentence === 'string' ? () => sentence : sentence;
    super(sentenceFor(startOver.withFresh));
    this.name = 'Problem';
    this.kind = kind;
    this.sentence = sentenceFor;
  }
}

/** About one file, for the log: a program shows the person a sentence about the folder instead. */
export class FileProblem extends Problem {}

/** Maps an error of the operating system or of SQLite to a problem, `broken` by default. */
export function kindOfError(error: unknown): ProblemKind {
  if (error instanceof Problem) return error.kind;
  const { code, errcode, message } = error as { code?: string; errcode?: number; message?: string };
  // SQLite primary result codes (sqlite3.h): 13 FULL, 5 BUSY, 6 LOCKED, 8 READONLY, 14 CANTOPEN.
  const primary = errcode === undefined ? undefined : errcode & 0xff;
  if (code === 'ENOSPC' || code === 'EDQUOT' || primary === 13) return 'full';
  if (primary === 5 || primary === 6) return 'locked';
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || primary === 8) {
    return 'notPermitted';
  }
  if (primary === 10 && /full|no space/i.test(message ?? '')) return 'full';
  return 'broken';
}

/** The message for a problem with the data folder at `path`. */
export function folderProblem(kind: ProblemKind, path: string): Problem {
  return new Problem(kind, (way) => folderSentence(kind, path, way));
}

function folderSentence(kind: ProblemKind, path: string, way: StartOver): string {
  switch (kind) {
    case 'full':
      return `The disk that holds ${path} is full: free some space, or choose another folder with --data DIR.`;
    case 'broken':
      return `The data folder ${path} is damaged: restore it from a copy, or ${way}.`;
    case 'locked':
      return `The data folder ${path} is in use by another Safe process: stop that one, or choose another folder with --data DIR.`;
    case 'olderFormat':
      return `The data folder ${path} was written by an older version of Safe: ${way}.`;
    case 'newerFormat':
      return `The data folder ${path} was written by a newer version of Safe: update Safe, or ${way}.`;
    case 'notPermitted':
      return `Safe may not write to ${path}: give this user the right to, or choose another folder with --data DIR.`;
    case 'portTaken':
      return `A port that ${path} remembers is taken: stop the program that uses it.`;
  }
}
