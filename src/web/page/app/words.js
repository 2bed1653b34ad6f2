// The languages: one file each, and nothing of them in the code but the names of their texts.

import { bring } from "./api.js";
import { recall, keep } from "./store.js";
import { settings } from "./settings.js";

let texts = {};
let language = "en";

const words = settings.languages.map((one) => one.word);

/** Reads the texts of the language that was chosen, or that the phone prefers. Gives whether they came; if not, all is as before. */
export async function learn(chosen) {
  const wanted = [chosen, recall("language"), ...(navigator.languages ?? [])].filter(Boolean);
  const known = wanted.map((one) => one.toLowerCase().split("-")[0]).find((one) => words.includes(one));
  const word = known ?? (words.includes("en") ? "en" : words[0]);
  const { file } = settings.languages.find((one) => one.word === word);
  const read = await bring(file, {}, (answer) => (answer.ok ? answer.json() : null)).catch(() => null);
  if (!read) return false;
  [language, texts] = [word, read];
  if (chosen) keep("language", chosen);
  document.documentElement.lang = texts["language.tag"];
  return true;
}

/** The language's word. */
export const spoken = () => language;

/** A text, with what stands in braces filled in. */
export function t(name, values = {}) {
  return (texts[name] ?? name).replace(/\{(\w+)\}/g, (_, word) => values[word] ?? "");
}

/** An amount of money, as in "25.00" of "CNY". */
export function money(amount, currency) {
  try {
    return new Intl.NumberFormat(texts["language.tag"], {
      style: "currency",
      currency,
      currencyDisplay: "narrowSymbol",
      minimumFractionDigits: Number(amount) % 1 === 0 ? 0 : 2,
    }).format(Number(amount));
  } catch {
    return `${amount} ${currency}`;
  }
}

/** A count. */
export const count = (number) => new Intl.NumberFormat(texts["language.tag"]).format(number);

/** A day and a time, on the campaign's clocks. */
export function instant(ms, zone, withDay = true) {
  const day = withDay ? { month: "short", day: "numeric", weekday: "short" } : {};
  const form = { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const tag = texts["language.tag"];
  try {
    const when = new Intl.DateTimeFormat(tag, { ...form, timeZone: zone || undefined }).format(ms);
    if (!zone || when === new Intl.DateTimeFormat(tag, form).format(ms)) return when;
    // Whose phone is on other clocks is told on which these are.
    const parts = new Intl.DateTimeFormat(tag, { timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(ms);
    return t("when.zone", { when, zone: parts.find((part) => part.type === "timeZoneName").value });
  } catch {
    return new Intl.DateTimeFormat(tag, form).format(ms);
  }
}

/** An instant that is near, without its day if it is less than half a day away. */
export const deadline = (ms, now, zone) => instant(ms, zone, ms - now > 12 * 3_600_000);

/** Several names, as the language strings them together. */
export function list(names) {
  return new Intl.ListFormat(texts["language.tag"], { type: "disjunction" }).format(names);
}

/**
 * A span of time in the largest unit of which it has a whole number, from two on. From ten minutes on what is left of a minute
 * is left out: nobody is told of more time than there is.
 */
export function span(seconds) {
  const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) => seconds / unit);
  if (days >= 2 && Number.isInteger(days)) return t("span.days", { n: days });
  if (hours >= 2 && Number.isInteger(hours)) return t("span.hours", { n: hours });
  if (minutes >= 10 || (minutes >= 2 && Number.isInteger(minutes))) return t("span.minutes", { n: Math.floor(minutes) });
  return t("span.seconds", { n: Math.floor(seconds) });
}
