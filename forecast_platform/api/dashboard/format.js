// Figures, days and moments in words. Days are the tenant's business days and moments are shown in its time zone.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY = 86_400_000;

let zone = "UTC";

export function useZone(name) {
  zone = name;
}

const grouped = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits });
const WHOLE = grouped(0);
const TENTHS = grouped(1);
const HUNDREDTHS = grouped(2);
const CENTS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const NONE = "–";
const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

// Units: whole ones from 100 on, tenths from 10 on, hundredths below.
export function units(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  return (size >= 100 ? WHOLE : size >= 10 ? TENTHS : HUNDREDTHS).format(value);
}

export const count = (value) => (known(value) ? WHOLE.format(value) : NONE);

// Money, in the tenant's currency, which nobody says: whole from 10 on, or columns of it would not line up.
export const money = (value) => (known(value) ? (Math.abs(value) >= 10 ? WHOLE : CENTS).format(value) : NONE);

// (Adding 0 makes 0 of a -0.)
export const percent = (value) => (known(value) ? `${TENTHS.format(Math.round(value * 1000) / 10 + 0)} %` : NONE);
export const signedPercent = (value) => (known(value) && Math.round(value * 1000) > 0 ? `+${percent(value)}` : percent(value));

export const toTime = (day) => Date.parse(`${day}T00:00:00Z`);
export const toDay = (time) => new Date(time).toISOString().slice(0, 10);
export const plusDays = (day, days) => toDay(toTime(day) + days * DAY);
export const daysBetween = (first, last) => Math.round((toTime(last) - toTime(first)) / DAY);

// 29 Nov
export function shortDay(day) {
  const date = new Date(toTime(day));
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

// Sun 29 Nov 2026
export function longDay(day) {
  if (!day) return NONE;
  const date = new Date(toTime(day));
  return `${WEEKDAYS[date.getUTCDay()]} ${shortDay(day)} ${date.getUTCFullYear()}`;
}

export function moment(text) {
  if (!text) return NONE;
  const shown = { timeZone: zone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat("en-GB", shown).format(new Date(text));
}

export function plural(number, word, many = `${word}s`) {
  return `${count(number)} ${number === 1 ? word : many}`;
}

// out_of_stock -> out of stock
export const words = (name) => (name ?? NONE).replaceAll("_", " ");
