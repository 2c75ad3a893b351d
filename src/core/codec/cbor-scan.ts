/**
 * Scans CBOR bytes before a library decodes them: number of items, depth, and that every length
 * fits. One pass over the heads without allocation, so that the bound and not the sender decides
 * what a mebibyte of tiny items costs.
 */

export interface CborBounds {
  /** Lists, maps, keys and values together. */
  readonly maxItems: number;
  /** Containers around an item. */
  readonly maxDepth: number;
}

/** A record has a dozen fields; a map key costs the library far more to decode than a list item. */
const maxMapKeys = 64;

const uint = 0;
const negint = 1;
const byteString = 2;
const textString = 3;
const list = 4;
const map = 5;

/**
 * @returns the number of items in the single value these bytes encode; undefined for no value,
 * trailing bytes, an item this project never writes (tags, floats, undefined, indefinite or
 * non-minimal lengths), or an exceeded bound.
 */
export function scanCbor(
  bytes: Uint8Array,
  { maxItems, maxDepth }: CborBounds,
): number | undefined {
  /** Items still expected, per open container. */
  const left: number[] = [];
  let items = 0;
  let at = 0;
  for (;;) {
    const head = bytes[at];
    if (head === undefined || ++items > maxItems || left.length > maxDepth) return undefined;
    at += 1;
    const major = head >> 5;
    let value = head & 31;
    if (major === 7) {
      // false, true, null
      if (value < 20 || value > 22) return undefined;
    } else if (value >= 24) {
      if (value > 27) return undefined;
      const size = 1 << (value - 24);
      if (at + size > bytes.length) return undefined;
      const least = size === 1 ? 24 : 2 ** (4 * size);
      value = 0;
      for (const end = at + size; at < end; at++) value = value * 256 + (bytes[at] ?? 0);
      if (value < least) return undefined;
    }
    switch (major) {
      case uint:
      case negint:
      case 7:
        break;
      case byteString:
      case textString:
        if (value > bytes.length - at) return undefined;
        at += value;
        break;
      case list:
      case map: {
        if (major === map && value > maxMapKeys) return undefined;
        const inside = major === map ? 2 * value : value;
        // Each item takes at least one byte, so a count beyond the remaining bytes is invalid.
        if (inside > bytes.length - at || inside > maxItems - items) return undefined;
        if (inside > 0) {
          left.push(inside);
          continue;
        }
        break;
      }
      default:
        return undefined;
    }
    // The value is complete, and so is every container whose last item it was.
    for (;;) {
      const open = left.length - 1;
      if (open < 0) return at === bytes.length ? items : undefined;
      const more = (left[open] ?? 1) - 1;
      if (more > 0) {
        left[open] = more;
        break;
      }
      left.pop();
    }
  }
}
