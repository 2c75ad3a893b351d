/** Clips text to the size of a field. */
import { utf8 } from '#core/codec/bytes.ts';

/** @returns the longest prefix of `text` that has at most `maxBytes` bytes of UTF-8. */
export function clipText(text: string, maxBytes: number): string {
  // A lone surrogate would be decoded as another character.
  const characters = [...text.toWellFormed()];
  while (utf8(characters.join('')).length > maxBytes) characters.pop();
  return characters.join('');
}
