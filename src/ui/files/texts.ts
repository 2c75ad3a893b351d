import type { TransferState } from '#bridge/vault.ts';

export const filesTexts = {
  title: 'Files',
  add: 'Add files',
  dropHere: 'Drop files to put them into your Safe',
  orDrop: 'or drop them anywhere on this page',
  emptyTitle: 'Nothing here yet',
  emptyText:
    'Add a file and it is encrypted on this device, split into pieces and kept by many computers. Only your Safe can join it again. Up to 1 GB each.',
  list: 'Files',
  removedList: 'Removed files',
  transfers: 'On their way',
  states: {
    preparing: 'Preparing',
    sending: 'Sending',
    waiting: 'Waiting',
    needsFile: 'Choose the file again to continue',
    failed: 'Stopped',
  } satisfies Record<TransferState, string>,
  needsFileText: (name: string) =>
    `This window no longer holds “${name}”. Choose the same file and it continues where it stopped.`,
  chooseAgain: 'Choose the file again',
  cancel: 'Cancel',
  cancelOf: (name: string) => `Cancel ${name}`,
  stayOpen: 'Keep Safe open until files have arrived.',
  of: (done: string, all: string) => `${done} of ${all}`,
  progressOf: (name: string) => `Progress of ${name}`,
  download: 'Download',
  downloadOf: (name: string) => `Download ${name}`,
  moreOf: (name: string) => `More for ${name}`,
  remove: 'Remove',
  restore: 'Restore',
  restoreOf: (name: string) => `Restore ${name}`,
  removed: (name: string) => `“${name}” was removed.`,
  restored: (name: string) => `“${name}” is back.`,
  downloading: (name: string) => `Fetching “${name}”. Your browser shows where it goes.`,
  downloadFailed: (name: string, why: string) =>
    `“${name}” could not be fetched. ${why || 'Check the connection on the Network page and try again.'}`,
  added: 'Added',
  failedFor: (name: string, why: string) => `“${name}”: ${why}`,
  removedHint: 'A removed file stays in this list, and can be put back, on all your devices.',
  folder: 'That was a folder. Open it and choose the files in it.',
} as const;
