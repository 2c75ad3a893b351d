/** Putting files in, getting them back, removing and restoring them. */
import type { FileView, TransferView } from '#bridge/vault.ts';
import { formatSize, formatSpeed, percentDone, timeLeft } from '../shared/format.ts';
import { asVaultError, type App } from '../shared/app.svelte.ts';
import { sharedTexts } from '../shared/texts.ts';
import type { Toasts } from '../shared/toasts.svelte.ts';
import { filesTexts } from './texts.ts';

/** One row of a transfer in progress, ready to show. */
export interface TransferLine {
  readonly percent: number;
  readonly headline: string;
  readonly detail: string;
}

/** What a transfer shows: percent, state, and (while sending) speed and time left. */
export function transferLine(transfer: TransferView): TransferLine {
  const percent = percentDone(transfer.doneBytes, transfer.size);
  const headline = filesTexts.states[transfer.state];
  if (transfer.state === 'needsFile')
    return { percent, headline, detail: filesTexts.needsFileText(transfer.name) };
  const amount = filesTexts.of(formatSize(transfer.doneBytes), formatSize(transfer.size));
  const moving = transfer.state === 'sending' && transfer.bytesPerSecond > 0;
  const parts = moving
    ? [
        amount,
        formatSpeed(transfer.bytesPerSecond),
        timeLeft(transfer.size - transfer.doneBytes, transfer.bytesPerSecond),
      ]
    : [amount, transfer.sentence];
  return { percent, headline, detail: parts.filter((part) => part !== '').join(' · ') };
}

/** Newest first. */
export const newestFirst = (files: readonly FileView[]): readonly FileView[] =>
  [...files].sort((a, b) => b.addedAt - a.addedAt || a.name.localeCompare(b.name));

export class FilesController {
  /** Files whose download is being opened; their buttons wait. */
  opening = $state.raw<readonly string[]>([]);
  readonly #app: App;
  readonly #toasts: Toasts;

  constructor(app: App, toasts: Toasts) {
    this.#app = app;
    this.#toasts = toasts;
  }

  /** One after another: the vault answers as soon as it has taken a file. */
  async add(files: readonly File[]): Promise<void> {
    for (const file of files)
      await this.#try(file.name, () => this.#app.ask({ kind: 'upload', file }));
  }

  async resume(transfer: TransferView, file: File): Promise<void> {
    await this.#try(transfer.name, () =>
      this.#app.ask({ kind: 'resumeUpload', transferId: transfer.id, file }),
    );
  }

  async cancel(transfer: TransferView): Promise<void> {
    await this.#try(transfer.name, () =>
      this.#app.ask({ kind: 'cancelUpload', transferId: transfer.id }),
    );
  }

  async download(file: FileView): Promise<void> {
    if (this.opening.includes(file.id)) return;
    this.opening = [...this.opening, file.id];
    const answer = await this.#try(file.name, () =>
      this.#app.ask({ kind: 'openFile', fileId: file.id }),
    );
    this.opening = this.opening.filter((id) => id !== file.id);
    if (answer === null) return;
    this.#toasts.show(filesTexts.downloading(file.name));
    navigateHiddenFrame(answer.url, (why) =>
      this.#toasts.fail(filesTexts.downloadFailed(file.name, why)),
    );
  }

  async remove(file: FileView): Promise<void> {
    const answer = await this.#try(file.name, async () => {
      await this.#app.ask({ kind: 'removeFile', fileId: file.id });
      return true;
    });
    if (answer)
      this.#toasts.show(filesTexts.removed(file.name), {
        label: sharedTexts.undo,
        run: () => void this.restore(file),
      });
  }

  async restore(file: FileView): Promise<void> {
    const answer = await this.#try(file.name, async () => {
      await this.#app.ask({ kind: 'restoreFile', fileId: file.id });
      return true;
    });
    if (answer) this.#toasts.show(filesTexts.restored(file.name));
  }

  async #try<Value>(name: string, work: () => Promise<Value>): Promise<Value | null> {
    try {
      return await work();
    } catch (error) {
      this.#toasts.fail(filesTexts.failedFor(name, asVaultError(error).message));
      return null;
    }
  }
}

const frameId = 'download-frame';
const maxReasonLength = 300;

/**
 * Navigates a hidden frame, so that the service worker answers and the browser saves the stream.
 * (A link with `download` would bypass the worker.) A frame that loads a page instead of starting
 * a download holds the worker's sentence on what went wrong.
 */
function navigateHiddenFrame(url: string, onRefused: (why: string) => void): void {
  document.getElementById(frameId)?.remove();
  const frame = document.createElement('iframe');
  frame.id = frameId;
  frame.hidden = true;
  frame.title = filesTexts.download;
  frame.addEventListener('load', () => {
    let why = '';
    try {
      const page = frame.contentDocument;
      if (page === null || page.URL === 'about:blank') return;
      if (page.contentType === 'text/plain') why = page.body.textContent.trim();
    } catch {
      // An opaque error page of the browser: there is no sentence to read.
    }
    onRefused(why.slice(0, maxReasonLength));
  });
  frame.src = url;
  document.body.append(frame);
}
