/** Translates texts: each language has a JSON catalogue, and English fills the gaps. */

import { signal } from "@preact/signals";
import ar from "./locales/ar.json?url";
import de from "./locales/de.json?url";
import en from "./locales/en.json";
import es from "./locales/es.json?url";
import zh from "./locales/zh.json?url";
import { remembered, remember } from "./memory";

export type Word = keyof typeof en;

/** Each language: its own name, the address of its catalogue, and its writing direction. */
export const LANGUAGES: { [code: string]: { name: string; url?: string; direction?: "rtl" } } = {
  en: { name: "English" },
  de: { name: "Deutsch", url: de },
  es: { name: "Español", url: es },
  zh: { name: "中文", url: zh },
  ar: { name: "العربية", url: ar, direction: "rtl" },
};

export const language = signal("en");
const catalogue = signal<Partial<Record<Word, string>>>(en);

/** Returns the text of a key, with `{0}`, `{1}` … replaced. */
export function t(word: Word, ...values: (string | number | bigint)[]): string {
  const text = catalogue.value[word] ?? en[word];
  return text.replace(/\{(\d)\}/g, (_, place) => String(values[Number(place)]));
}

/** Returns the first of the user's languages that has a catalogue. */
export function preferred(): string {
  const codes = [remembered("language"), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return codes.find((code) => code && Object.hasOwn(LANGUAGES, code)) ?? "en";
}

/** The language that the user chose last. */
let wanted = "en";

export async function speak(code: string, forGood = false) {
  const { url, direction } = LANGUAGES[code] ?? {};
  wanted = code;
  // The page stays in English if the catalogue cannot be loaded.
  const words = url
    ? await fetch(url)
        .then((response) => response.json())
        .catch(() => en)
    : en;
  if (wanted !== code) return;
  catalogue.value = words;
  language.value = code;
  document.documentElement.lang = code;
  document.documentElement.dir = direction ?? "ltr";
  if (forGood) remember("language", code);
}

/** Formats a number of bytes. */
export function size(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  return new Intl.NumberFormat(language.value, {
    style: "unit",
    unit: units[power],
    unitDisplay: power ? "short" : "long",
    maximumFractionDigits: power && 1,
  }).format(bytes / 1000 ** power);
}

/** Formats a time in milliseconds as seconds. */
export function seconds(milliseconds: number): string {
  return new Intl.NumberFormat(language.value, {
    style: "unit",
    unit: "second",
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  }).format(milliseconds / 1000);
}

/** A share of 1, such as a probability. */
export function percent(share: number): string {
  return new Intl.NumberFormat(language.value, {
    style: "percent",
    maximumFractionDigits: 1,
  }).format(share);
}
