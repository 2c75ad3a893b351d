/** Short messages at the edge of the screen, some with one action. */
export interface Toast {
  readonly id: number;
  readonly tone: 'calm' | 'bad';
  readonly text: string;
  readonly action: { readonly label: string; readonly run: () => void } | null;
}

/** Long enough to read a sentence twice and to reach the button by keyboard. */
const calmToastMs = 10_000;
const maxToasts = 3;

export class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #next = 1;

  show(text: string, action: Toast['action'] = null): void {
    const id = this.#add({ tone: 'calm', text, action });
    setTimeout(() => this.dismiss(id), calmToastMs);
  }

  /** An error stays until it is read. */
  fail(text: string): void {
    this.#add({ tone: 'bad', text, action: null });
  }

  /** They may name files of an open Safe, which a locked one must not show. */
  clear(): void {
    this.list = [];
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  #add(toast: Omit<Toast, 'id'>): number {
    const id = this.#next++;
    this.list = [...this.list, { id, ...toast }].slice(-maxToasts);
    return id;
  }
}

export const toasts = new Toasts();
