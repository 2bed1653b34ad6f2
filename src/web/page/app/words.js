// The languages: one file each, and nothing of them in the code but the names of their texts.

import { bring } from "./api.js";
import { clock } from "./clock.js";
import { recall, keep } from "./store.js";
import { settings } from "./settings.js";

let texts = {};
let language = "en";
let plurals = new Intl.PluralRules(language);

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
  plurals = new Intl.PluralRules(texts["language.tag"]);
  if (chosen) keep("language", chosen);
  document.documentElement.lang = texts["language.tag"];
  return true;
}

/** The language's word. */
export const spoken = () => language;

/** A text, with what stands in braces filled in. One that has a form for each plural of its language is told by the number `n`. */
export function t(name, values = {}) {
  const text = texts[name] ?? name;
  const form = typeof text === "string" ? text : (text[plurals.select(values.n)] ?? text.other);
  const shown = (value) => (typeof value === "number" ? count(value) : (value ?? ""));
  return form.replace(/\{(\w+)\}/g, (_, word) => shown(values[word]));
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

/** A count, as `t` writes it. */
const count = (number) => new Intl.NumberFormat(texts["language.tag"]).format(number);

const formats = new Map();

/** Writes dates in one form; made once, as they are asked for several times a second. */
function dates(form, tag = texts["language.tag"]) {
  const name = JSON.stringify([tag, form]);
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat(tag, form));
  return formats.get(name);
}

/** The year of an instant, on the campaign's clocks. */
const yearOf = (ms, timeZone) => dates({ year: "numeric", timeZone }, "en").format(ms);

/** A day and a time, on the campaign's clocks; with its year where that is not this one. */
export function instant(ms, zone, withDay = true) {
  const on = (timeZone) => {
    const year = yearOf(ms, timeZone) === yearOf(clock.now(), timeZone) ? undefined : "numeric";
    const day = withDay ? { year, month: "short", day: "numeric", weekday: "short" } : {};
    return dates({ ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(ms);
  };
  try {
    const when = on(zone || undefined);
    if (!zone || when === on()) return when;
    // Whose phone is on other clocks is told on which these are.
    const parts = dates({ timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(ms);
    return t("when.zone", { when, zone: parts.find((part) => part.type === "timeZoneName").value });
  } catch {
    return on();
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
