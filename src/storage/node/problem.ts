/**
 * What can go wrong with a disk or a data folder, each as one sentence that says what to do.
 * These are the world's refusals that stop a program; a peer never sees them.
 */

export type ProblemKind =
  /** No space left, or a quota is used up. */
  | 'full'
  /** Bytes on disk are not what we wrote, or the disk refuses. */
  | 'broken'
  /** Another process holds the folder. */
  | 'locked'
  /** Written by a different version of this program. */
  | 'olderFormat'
  | 'newerFormat'
  /** We may not read or write there. */
  | 'notPermitted'
  /** A port is taken. */
  | 'portTaken';

/** Thrown by storage and start-up; `message` is the one line a person reads. */
export class Problem extends Error {
  readonly kind: ProblemKind;

  constructor(kind: ProblemKind, sentence: string) {
    super(sentence);
    this.name = 'Problem';
    this.kind = kind;
  }
}

/** Which problem an error of the operating system or of SQLite is, `broken` when none fits. */
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

/** The one line for a problem with the data folder at `path`. */
export function folderProblem(kind: ProblemKind, path: string): Problem {
  return new Problem(kind, folderSentence(kind, path));
}

function folderSentence(kind: ProblemKind, path: string): string {
  switch (kind) {
    case 'full':
      return `The disk that holds ${path} is full: free some space, or choose another folder with --data DIR.`;
    case 'broken':
      return `The data folder ${path} is damaged: restore it from a copy, or start a new network with --fresh (the old folder is kept beside it).`;
    case 'locked':
      return `The data folder ${path} is in use by another Safe process: stop that one, or choose another folder with --data DIR.`;
    case 'olderFormat':
      return `The data folder ${path} was written by an older version of Safe: start a new network with --fresh (the old folder is kept beside it).`;
    case 'newerFormat':
      return `The data folder ${path} was written by a newer version of Safe: update Safe, or start a new network with --fresh (the old folder is kept beside it).`;
    case 'notPermitted':
      return `Safe may not write to ${path}: give this user the right to, or choose another folder with --data DIR.`;
    case 'portTaken':
      return `A port that ${path} remembers is taken: stop the program that uses it.`;
  }
}
