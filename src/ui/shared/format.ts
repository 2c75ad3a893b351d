/** Formats numbers, times and sizes. Pure; the language is the app's own. */
export const language = 'en';

const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** `bytes` ≥ 0 in decimal units with at most three digits: "0 bytes", "1.5 kB", "64 MB". */
export function formatSize(bytes: number): string {
  let value = bytes;
  let step = 0;
  // 999.5 would print as "1,000": use the next unit.
  while (value >= (step === 0 ? 1000 : 999.5) && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 || value >= 99.95 ? 0 : 1;
  const number = value.toLocaleString(language, { maximumFractionDigits: digits });
  return step === 0 && value === 1 ? '1 byte' : `${number} ${units[step] ?? ''}`;
}

export const formatSpeed = (bytesPerSecond: number): string => `${formatSize(bytesPerSecond)}/s`;

/** Whole percent; 100 only when every byte is there, 0 only when none is. */
export function percentDone(doneBytes: number, size: number): number {
  if (size <= 0) return doneBytes >= size ? 100 : 0;
  if (doneBytes >= size) return 100;
  if (doneBytes <= 0) return 0;
  return Math.min(99, Math.max(1, Math.floor((doneBytes / size) * 100)));
}

/** The remaining time at this speed; empty when the speed is zero or unknown. */
export function timeLeft(remainingBytes: number, bytesPerSecond: number): string {
  if (remainingBytes <= 0 || !(bytesPerSecond > 0)) return '';
  const seconds = remainingBytes / bytesPerSecond;
  if (seconds < 5) return 'a few seconds left';
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} seconds left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `about ${count(minutes, 'minute', 'minutes')} left`;
  const hours = Math.round(minutes / 60);
  return hours <= 48 ? `about ${count(hours, 'hour', 'hours')} left` : 'more than two days left';
}

export const count = (value: number, one: string, many: string): string =>
  `${value.toLocaleString(language)} ${value === 1 ? one : many}`;

/** Today as a time, this year without the year, else the whole date. Milliseconds since 1970. */
export function formatMoment(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  const now = new Date(nowMs);
  if (at.toDateString() === now.toDateString())
    return `today, ${at.toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', hour12: false })}`;
  return at.toLocaleDateString(language, {
    day: 'numeric',
    month: 'short',
    ...(at.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' }),
  });
}

/** "3, 7 or 11" */
export const orList = (values: readonly number[]): string =>
  new Intl.ListFormat(language, { type: 'disjunction' })
    .format(values.map(String))
    .replace(', or ', ' or ');

/** The two ends of a long text, enough to compare by eye. */
export const abbreviate = (text: string, keep = 8): string =>
  text.length <= keep * 2 + 1 ? text : `${text.slice(0, keep)} … ${text.slice(-keep)}`;
