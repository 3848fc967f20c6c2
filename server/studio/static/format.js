// Times, sizes and numbers as the reader's locale writes them.
import { texts } from "./texts.js";

const number = (options) => new Intl.NumberFormat(undefined, options);
const whole = number({ maximumFractionDigits: 0 });
const short = number({ maximumFractionDigits: 2 });
const share = number({ style: "percent", maximumFractionDigits: 1 });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "long" });
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
const AGES = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

export const count = (value) => whole.format(value);
export const decimal = (value) => short.format(value);
export const percent = (value) => share.format(value);
export const moment = (unix) => date.format(unix * 1000);

/** Return the time since a Unix time, in words. */
export function ago(unix) {
  const seconds = Date.now() / 1000 - unix;
  for (const [unit, size] of AGES) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit);
  }
  return texts.justNow;
}

export function bytes(value) {
  let unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit += 1) value /= 1000;
  const options = { style: "unit", unit: UNITS[unit], maximumFractionDigits: unit && value < 10 ? 1 : 0 };
  return number(options).format(value);
}

export function duration(seconds) {
  const of = (value, unit) =>
    number({ style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 }).format(value);
  if (seconds < 90) return of(Math.max(1, seconds), "second");
  if (seconds < 5400) return of(seconds / 60, "minute");
  return number({ style: "unit", unit: "hour", unitDisplay: "long", maximumFractionDigits: 1 }).format(
    seconds / 3600,
  );
}

/** Return "low to high" of an interval of shares. */
export const interval = ([low, high]) => texts.range(percent(low), percent(high));
