/**
 * Creates a Safe, unlocks the one on this device, or opens one with its phrase. It outlives the pages, so
 * that navigating does not lose a half-made Safe. Order is a rule: a password is taken only after a phrase
 * or this device's key was accepted (strong key first, password last); only a new Safe starts with choosing
 * one.
 */
import { createContext } from 'svelte';
import type { PasswordStrength, PhraseProblem } from '#bridge/vault.ts';
import type { App } from '../shared/app.svelte.ts';
import { Task } from '../shared/task.svelte.ts';
import { firstDifference, firstDifferentCharacter, typedWords } from './phrase/phrase-sentences.ts';
import { unlockTexts } from './texts.ts';

/** Long enough not to ask at every key, short enough to feel immediate. */
const typingPauseMs = 300;
const wordsInPhrase = 12;
const wordsInPassword = 5;

export type UnlockStep = 'start' | 'password' | 'phrase' | 'check' | 'open';

export class UnlockController {
  step = $state<UnlockStep>('start');
  password = $state('');
  repeated = $state('');
  visible = $state(false);
  made = $state(false);
  strength = $state.raw<PasswordStrength | null>(null);
  strengthBusy = $state(false);
  passwordProblem = $state('');
  repeatProblem = $state('');

  /** The new phrase, word by word; it stays on this screen and is dropped when the Safe is made. */
  phrase = $state.raw<readonly string[]>([]);
  phraseShown = $state(false);

  typed = $state('');
  phraseProblem = $state.raw<PhraseProblem | null>(null);
  phraseNote = $state('');
  phraseAccepted = $state(false);
  phraseBusy = $state(false);
  remember = $state(true);

  /** True after creating, until the person has read what to do with the paper. */
  justCreated = $state(false);

  readonly task = new Task();
  readonly #app: App;
  #strengthTimer: ReturnType<typeof setTimeout> | undefined;
  #phraseTimer: ReturnType<typeof setTimeout> | undefined;
  /** Only the newest request's answer counts. */
  #asked = 0;

  constructor(app: App) {
    this.#app = app;
  }

  go(step: UnlockStep): void {
    this.task.clear();
    if (step === 'start') this.#forgetTyped();
    if (step !== 'phrase') this.phraseShown = false;
    if (step === 'check' || step === 'open') this.#resetPhraseEntry();
    if (step === 'open') this.password = '';
    this.visible = false;
    this.step = step;
  }

  // ─── A new Safe ──────────────────────────────────────────────────────────────────────────────

  passwordTyped(): void {
    this.passwordProblem = '';
    this.repeatProblem = '';
    this.made = false;
    this.#judgePassword(typingPauseMs);
  }

  /** Five random BIP39 words (11 bits each): 55 bits, easy to write and to type. */
  async makePassword(): Promise<void> {
    const answer = await this.task.run(() => this.#app.ask({ kind: 'newPhrase' }));
    if (answer === null) return;
    this.password = answer.value.words.slice(0, wordsInPassword).join(' ');
    this.repeated = '';
    this.visible = true;
    this.passwordProblem = '';
    this.repeatProblem = '';
    this.made = true;
    this.#judgePassword(0);
  }

  async choosePassword(): Promise<void> {
    this.passwordProblem = '';
    this.repeatProblem = '';
    if (this.password === '') {
      this.passwordProblem = unlockTexts.passwordMissing;
      return;
    }
    if (this.repeated === '') {
      this.repeatProblem = unlockTexts.repeatMissing;
      return;
    }
    const difference = firstDifferentCharacter(this.password, this.repeated);
    if (difference !== null) {
      this.repeatProblem = unlockTexts.differAt(difference);
      return;
    }
    const password = this.password;
    const judged = await this.task.run(() => this.#app.ask({ kind: 'passwordStrength', password }));
    if (judged === null) return;
    this.strength = judged.value;
    if (!judged.value.acceptable) {
      this.passwordProblem = judged.value.sentence;
      return;
    }
    if (this.phrase.length === 0) {
      const answer = await this.task.run(() => this.#app.ask({ kind: 'newPhrase' }));
      if (answer === null) return;
      this.phrase = answer.value.words;
    }
    this.go('phrase');
  }

  async create(): Promise<void> {
    const words = typedWords(this.typed);
    this.phraseNote = '';
    this.phraseProblem = null;
    await this.task.run(async () => {
      const { problem } = await this.#app.ask({ kind: 'checkPhrase', words: words.join(' ') });
      this.phraseProblem = problem;
      if (problem !== null) return;
      const difference = firstDifference(
        words,
        this.phrase.map((word) => typedWords(word)[0] ?? ''),
      );
      if (difference !== null) {
        this.phraseNote = unlockTexts.differentPhrase(difference);
        return;
      }
      await this.#app.ask({
        kind: 'createSafe',
        words: this.phrase.join(' '),
        password: this.password,
      });
      this.justCreated = true;
      this.#finish();
    });
  }

  // ─── A Safe that exists ──────────────────────────────────────────────────────────────────────

  async unlockHere(): Promise<void> {
    if (this.#passwordMissing()) return;
    const password = this.password;
    const done = await this.task.run(() => this.#app.ask({ kind: 'unlockHere', password }));
    if (done !== null) this.#finish();
  }

  async unlockWithPhrase(): Promise<void> {
    if (!this.phraseAccepted || this.#passwordMissing()) return;
    const request = {
      kind: 'unlockWithPhrase',
      words: typedWords(this.typed).join(' '),
      password: this.password,
      remember: this.remember,
    } as const;
    const done = await this.task.run(() => this.#app.ask(request));
    if (done !== null) this.#finish();
    else this.phraseProblem = this.task.error?.phrase ?? null;
  }

  phraseTyped(): void {
    this.phraseProblem = null;
    this.phraseNote = '';
    this.phraseAccepted = false;
    this.task.clear();
    clearTimeout(this.#phraseTimer);
    this.#asked += 1;
    this.phraseBusy = false;
    if (this.step !== 'open' || typedWords(this.typed).length < wordsInPhrase) return;
    this.#phraseTimer = setTimeout(() => void this.checkPhrase(), typingPauseMs);
  }

  /** Also on request, however few words there are. */
  async checkPhrase(): Promise<void> {
    clearTimeout(this.#phraseTimer);
    const asked = ++this.#asked;
    this.phraseBusy = true;
    try {
      const words = typedWords(this.typed).join(' ');
      const { problem } = await this.#app.ask({ kind: 'checkPhrase', words });
      if (asked !== this.#asked) return;
      this.phraseProblem = problem;
      this.phraseAccepted = problem === null;
    } catch (error) {
      if (asked === this.#asked) void this.task.run(() => Promise.reject(error));
    } finally {
      if (asked === this.#asked) this.phraseBusy = false;
    }
  }

  useFix(text: string): void {
    this.typed = text;
    this.phraseTyped();
    if (this.step === 'open') void this.checkPhrase();
  }

  #judgePassword(afterMs: number): void {
    clearTimeout(this.#strengthTimer);
    const password = this.password;
    this.strengthBusy = password !== '';
    if (password === '') {
      this.strength = null;
      return;
    }
    this.#strengthTimer = setTimeout(async () => {
      try {
        const strength = await this.#app.ask({ kind: 'passwordStrength', password });
        if (password === this.password) this.strength = strength;
      } catch {
        // Continue repeats the request and shows its failure.
      } finally {
        if (password === this.password) this.strengthBusy = false;
      }
    }, afterMs);
  }

  #passwordMissing(): boolean {
    this.passwordProblem = this.password === '' ? unlockTexts.passwordMissing : '';
    return this.password === '';
  }

  #resetPhraseEntry(): void {
    this.typed = '';
    this.phraseProblem = null;
    this.phraseNote = '';
    this.phraseAccepted = false;
    this.phraseBusy = false;
  }

  #forgetTyped(): void {
    this.password = '';
    this.repeated = '';
    this.strength = null;
    this.passwordProblem = '';
    this.repeatProblem = '';
    this.made = false;
    this.phrase = [];
    this.#resetPhraseEntry();
  }

  /** Drops every secret of this window after use. */
  #finish(): void {
    this.#forgetTyped();
    this.phraseShown = false;
    this.visible = false;
    this.step = 'start';
  }
}

export const [useUnlock, provideUnlock] = createContext<UnlockController>();
