// Sizes, times and states in words, everywhere alike.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes, in thousands as disks and links are sold. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let value = Math.abs(bytes), unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${bytes < 0 ? "−" : ""}${value.toFixed(digits)} ${UNITS[unit]}`;
}

export function rate(bytes) {
  return bytes === null || bytes === undefined ? "–" : `${size(bytes)}/s`;
}

export function mbits(bytes) {
  return `${Math.round(bytes / 125000).toLocaleString("en")} Mbit/s`;
}

export function count(number) {
  return number === null || number === undefined ? "–" : number.toLocaleString("en");
}

export function counted(number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`;
}

/** A length of time in its largest fitting unit. */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * length) return `${Math.round(seconds / length)} ${unit}`;
  }
  return `${Math.max(0, Math.round(seconds))} s`;
}

export function percent(share) {
  return share === null || share === undefined ? "–" : `${(share * 100).toFixed(share > 0.995 && share < 1 ? 1 : 0)} %`;
}

/** A moment in UTC, to the second, or to the minute. */
export function moment(iso, { seconds = false } = {}) {
  if (!iso) return "–";
  const text = new Date(iso).toISOString().replace("T", " ");
  return text.slice(0, seconds ? 19 : 16);
}

export function since(iso, now = Date.now()) {
  return iso ? age((now - new Date(iso)) / 1000) : "–";
}

/** `in_progress` as people read it. */
export function plain(word) {
  return (word ?? "").replaceAll("_", " ");
}
