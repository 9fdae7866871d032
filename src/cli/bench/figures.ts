/** Numbers of a result as text, the same in all reports. */

/** A time in milliseconds, with three digits that count and a unit that suits it. */
export function timeText(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return "-";
  if (milliseconds >= 1_000) return `${threeDigits(milliseconds / 1_000)} s`;
  return milliseconds >= 1 ? `${threeDigits(milliseconds)} ms` : `${threeDigits(milliseconds * 1_000)} us`;
}

export function threeDigits(value: number): string {
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}

export function countText(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** A rate per second. */
export function rateText(rate: number): string {
  return `${rate >= 100 ? countText(rate) : threeDigits(rate)}/s`;
}

export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, Math.abs(bytes))) / 10)));
  return `${threeDigits(bytes / 1_024 ** power)} ${units[power]}`;
}

export function plural(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}
