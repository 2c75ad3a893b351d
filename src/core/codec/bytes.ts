/** Fixed-layout bytes for everything that is signed or hashed: one encoding per value. */
import { assert } from '../assert.ts';
import { err, ok, type Result } from '../result.ts';

const encoder = new TextEncoder();

export const utf8 = (text: string): Uint8Array => encoder.encode(text);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Up to the length of a section key, creating views costs more than it saves. */
const keyBytes = 96;

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  if (a.length <= keyBytes) {
    for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
    return difference === 0;
  }
  // Compare 32 bits at a time if both are aligned: mebibyte pieces are compared on every hop.
  const words = (a.byteOffset | b.byteOffset) % 4 === 0 ? a.length >> 2 : 0;
  const wordsA = new Uint32Array(a.buffer, words === 0 ? 0 : a.byteOffset, words);
  const wordsB = new Uint32Array(b.buffer, words === 0 ? 0 : b.byteOffset, words);
  for (let i = 0; i < words; i++) difference |= (wordsA[i] ?? 0) ^ (wordsB[i] ?? 0);
  for (let i = 4 * words; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** Lexicographic order, used for all sorted lists on the wire. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Uses a table: names are converted to map keys many times per message. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += hexPairs[bytes[i] ?? 0];
  return text;
}

/** @returns the bytes of lower-case hex, `malformed` for anything else. */
export function fromHex(text: string): Result<Uint8Array, 'malformed'> {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return err('malformed');
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return ok(bytes);
}

/** Encoded labels: few and constant, and needed for every signature. */
const labels = new Map<string, Uint8Array>();

function labelBytes(text: string): Uint8Array {
  const known = labels.get(text) ?? utf8(text);
  labels.set(text, known);
  return known;
}

/** Wiped buffers of finished writers, reused: a node hashes thousands of layouts a second. */
const spares: Uint8Array[] = [];
const spareBytes = 1024;
const nothing = new Uint8Array(0);

/**
 * Builds a fixed layout: numbers are big-endian, variable parts have a u32 length prefix. A writer
 * must not be used after `finish`.
 */
export class Writer {
  #bytes = spares.pop() ?? new Uint8Array(spareBytes);
  #length = 0;

  /** A domain label, length-prefixed; every signed layout begins with one. */
  label(text: string): this {
    return this.sized(labelBytes(text));
  }

  /** Bytes of a length fixed by the layout. */
  fixed(bytes: Uint8Array, length: number): this {
    assert(bytes.length === length, `a field of ${length} bytes`);
    const at = this.#grow(length);
    this.#bytes.set(bytes, at);
    return this;
  }

  sized(bytes: Uint8Array): this {
    return this.u32(bytes.length).fixed(bytes, bytes.length);
  }

  u8(value: number): this {
    assert(Number.isInteger(value) && value >= 0 && value < 256, 'fits 1 byte');
    const at = this.#grow(1);
    this.#bytes[at] = value;
    return this;
  }

  u32(value: number): this {
    assert(Number.isInteger(value) && value >= 0 && value < 2 ** 32, 'fits 4 bytes');
    const at = this.#grow(4);
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = value >>> 16;
    this.#bytes[at + 2] = value >>> 8;
    this.#bytes[at + 3] = value;
    return this;
  }

  u64(value: bigint): this {
    assert(value >= 0n && value < 1n << 64n, 'fits 8 bytes');
    return this.u32(Number(value >> 32n)).u32(Number(value & 0xffff_ffffn));
  }

  finish(): Uint8Array {
    return this.finishAs((bytes) => bytes.slice());
  }

  /**
   * @returns the result of `use`, which must not keep the bytes: the buffer is wiped and reused.
   */
  finishAs<T>(use: (bytes: Uint8Array) => T): T {
    const made = use(this.#bytes.subarray(0, this.#length));
    if (this.#bytes.length === spareBytes) {
      this.#bytes.fill(0, 0, this.#length); // A layout may have held a secret.
      spares.push(this.#bytes);
    }
    this.#bytes = nothing;
    this.#length = 0;
    return made;
  }

  /** Reserves `more` bytes. @returns their offset. */
  #grow(more: number): number {
    const at = this.#length;
    this.#length += more;
    if (this.#length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      wider.set(this.#bytes);
      this.#bytes = wider;
    }
    return at;
  }
}

/** Reads a fixed layout; after the first mismatch every read returns zeros and `finish` fails. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  fixed(length: number): Uint8Array {
    if (this.#failed || this.#at + length > this.#bytes.length) {
      this.#failed = true;
      return new Uint8Array(length);
    }
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  sized(max: number): Uint8Array {
    const length = this.u32();
    if (length > max) this.#failed = true;
    return this.#failed ? new Uint8Array() : this.fixed(length);
  }

  u8(): number {
    return this.fixed(1)[0] ?? 0;
  }

  u32(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.fixed(4);
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  u64(): bigint {
    const bytes = this.fixed(8);
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  }

  /** Did a read fail? Loops check it, so that a false count costs nothing. */
  get failed(): boolean {
    return this.#failed;
  }

  /** True when every read succeeded and no bytes are left. */
  finish(): boolean {
    return !this.#failed && this.#at === this.#bytes.length;
  }
}
