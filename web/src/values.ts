/** The values in the form. Converts them to and from requests and the page's address. */

import { computed, signal } from "@preact/signals";
import { type Json, writeJson } from "./json";
import { isBlob, isFreeText, type Input, leastItems, type Model, own, typed } from "./model";
import { bytesOf, problem } from "./run";

/** One value, or an item of a list. */
export type Item = string | File | null;
export type Value = Item | readonly Item[];
export type Values = ReadonlyMap<string, Value>;
export interface Extra {
  name: string;
  value: string;
}

export const values = signal<Values>(new Map());
/** Options that the schema does not mention. */
export const extras = signal<Extra[]>([]);
/** Messages on files that the page did not take, by input. */
export const refusals = signal<ReadonlyMap<string, string>>(new Map());
/** The errors by input: from the server's response, and from the page's own checks. */
export const errors = computed(() => {
  const said = (problem.value?.errors ?? []).map(({ name, message }) => [name, message] as const);
  return new Map([...said, ...refusals.value]);
});

/** The values of the request that is shown: the form may have changed since. */
export const sent = signal<{ values: Values; extras: Extra[] }>({ values: new Map(), extras: [] });

export function set(name: string, value: Value) {
  if (refusals.value.has(name))
    refusals.value = new Map([...refusals.value].filter(([other]) => other !== name));
  values.value = new Map(values.value).set(name, value);
}

/** The items of a list as they are filled in. */
export function itemsOf(value: Value | undefined): readonly Item[] {
  return Array.isArray(value) ? value : [];
}

/** Replaces an item of a list; `undefined` removes it. */
export function setItem({ name }: Input, index: number, item: Item | undefined) {
  const items = [...itemsOf(values.value.get(name))];
  items.splice(index, 1, ...(item === undefined ? [] : [item]));
  set(name, items);
}

/** The errors of a list's items, by their current places: items may have been removed since. */
export function itemErrors({ name }: Input): Map<number, string> {
  const [now, then] = [values.value, sent.value.values].map((all) => itemsOf(all.get(name)));
  const found = new Map<number, string>();
  for (const [key, message] of errors.value) {
    const index = key.startsWith(`${name}[`) ? parseInt(key.slice(name.length + 1)) : NaN;
    const item = then?.[index];
    const place = item === undefined ? -1 : (now?.lastIndexOf(item, index) ?? -1);
    if (place >= 0) found.set(place, message);
  }
  return found;
}

/** All files and texts that are filled in, each with its place. */
export function each(all: Values): [string, Item][] {
  return [...all].flatMap(([name, value]): [string, Item][] =>
    Array.isArray(value)
      ? value.map((item, index) => [`${name} ${index + 1}`, item])
      : [[name, value as Item]],
  );
}

/** Resets the form to its initial values. */
export function initial(inputs: Input[]): Map<string, Value> {
  return new Map(inputs.map((input) => [input.name, start(input)]));
}

/** Keeps the filled-in values of the inputs that the new form has too. */
export function carryOver(before: Input[], now: Input[]) {
  const known = new Map(before.map((input) => [input.name, input]));
  const kept = (input: Input): Value => {
    const [old, value] = [known.get(input.name), values.value.get(input.name)];
    if (!old || value === undefined || !takes(input, old, value)) return start(input);
    const isUntouched = !isBlob(input) && JSON.stringify(value) === JSON.stringify(start(old));
    return isUntouched ? start(input) : value;
  };
  values.value = new Map(now.map((input) => [input.name, kept(input)]));
}

/** Returns true if an input takes the value that was filled in for the old input of its name. */
function takes(input: Input, old: Input, value: Value): boolean {
  const isSame =
    JSON.stringify([input.shape, input.list]) === JSON.stringify([old.shape, old.list]);
  const choices = input.choices?.map(typed);
  return isSame && (typeof value !== "string" || !choices || choices.includes(value));
}

function start(input: Input): Value {
  if (input.list && Array.isArray(input.default)) return listOf(input, input.default);
  if (isBlob(input)) return input.list ? [] : null;
  if (!input.list) return startOf(input);
  return Array.from({ length: leastItems(input) }, () => startOf(input));
}

/** An item that is added to a list. */
export const newItem = (input: Input) => startOf({ ...input, required: true });

/** Converts a list in JSON for the form. A list of files leaves out the items that are no files. */
export function listOf(input: Input, list: Json): Item[] {
  if (!Array.isArray(list)) return [];
  if (!isBlob(input)) return list.map((item) => textOf(input, item));
  return list.map((item) => fileOf(input.name, item)).filter((item) => item !== null);
}

function startOf(input: Input): string {
  if (input.default !== undefined && !input.list) return textOf(input, input.default);
  if (!input.required) return "";
  if (input.shape.kind === "flag") return "false";
  return input.shape.kind === "choice" ? typed(input.choices?.[0]) : "";
}

/** Writes a value as the text that the form shows and the server reads. */
export function textOf({ shape }: Input, value: Json): string {
  if (shape.kind === "json") return writeJson(value);
  if (shape.kind === "flag") return String(/^(true|t|yes|y|on|1)$/i.test(typed(value)));
  return typed(value);
}

/** The values that are sent. An empty input is left out, unless the user has deleted its default text. */
export function given(inputs: Input[]): [string, string | File][] {
  const ofSchema = inputs.flatMap((input): [string, string | File][] => {
    const value = values.value.get(input.name) ?? null;
    if (input.list) return givenList(input, itemsOf(value));
    if (value === null || (typeof value === "object" && !(value instanceof File))) return [];
    const emptied = isFreeText(input) && typed(input.default) !== "";
    return value === "" && !emptied ? [] : [[input.name, value]];
  });
  const more = extras.value.filter(({ name }) => name !== "");
  return [...ofSchema, ...more.map(({ name, value }): [string, string] => [name, value])];
}

/** Sends each item of a list on its own. A list whose items the user has removed is sent as `[]`. */
function givenList(input: Input, items: readonly Item[]): [string, string | File][] {
  const present = items.filter((item) => item !== null);
  if (present.some((item) => item !== "")) return present.map((item) => [input.name, item]);
  const emptied = items.length === 0 && itemsOf(start(input)).length > leastItems(input);
  // In a list of texts or of JSON, the server would take the text `[]` for an item.
  return emptied && !isFreeText(input) && input.shape.kind !== "json" ? [[input.name, "[]"]] : [];
}

/**
 * The request's body (RFC 7578), written by hand: a browser's own FormData changes the line breaks of
 * texts.
 */
export function bodyOf(inputs: Input[]): Blob {
  const boundary = `----${Array.from({ length: 4 }, () => Math.random().toString(36).slice(2)).join("")}`;
  const quoted = (name: string) =>
    `"${name.replace(/["\r\n]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`)}"`;
  const parts = given(inputs).flatMap(([name, value]): BlobPart[] => {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name=${quoted(name)}`;
    if (typeof value === "string") return [`${head}\r\n\r\n`, value, "\r\n"];
    const type = value.type || "application/octet-stream";
    return [
      `${head}; filename=${quoted(value.name)}\r\nContent-Type: ${type}\r\n\r\n`,
      value,
      "\r\n",
    ];
  });
  return new Blob([...parts, `--${boundary}--\r\n`], {
    type: `multipart/form-data; boundary=${boundary}`,
  });
}

/** Fills in an example; other inputs are reset. */
export function fill(model: Model, example: { [name: string]: Json }) {
  const start = initial(model.inputs);
  for (const input of model.inputs) {
    const value = own(example, input.name);
    if (value !== undefined) start.set(input.name, valueOf(input, value));
  }
  problem.value = null;
  values.value = start;
  const known = new Set(model.inputs.map(({ name }) => name));
  extras.value = Object.entries(example)
    .filter(([name]) => !known.has(name))
    .map(([name, value]) => ({ name, value: typed(value) }));
}

/** Converts a value in JSON for the form. */
export function valueOf(input: Input, value: Json): Value {
  if (input.list) return listOf(input, value);
  return isBlob(input) ? fileOf(input.name, value) : textOf(input, value);
}

/** Reads a file in JSON: base64 or a `data:` URL (RFC 2397). The server itself fetches an address. */
export function fileOf(name: string, value: Json): Item {
  if (typeof value !== "string") return null;
  if (/^https?:/i.test(value)) return value;
  const [, given = "", base64 = value] = /^data:([^;,]*)[^,]*;base64,(.*)$/s.exec(value) ?? [];
  try {
    const bytes = bytesOf(base64.trim());
    const type = given || pictureType(bytes);
    return new File([bytes], `${name}.${extension(type)}`, { type });
  } catch {
    return null;
  }
}

/** The media type of a picture, by its first bytes. */
function pictureType(bytes: Uint8Array): string {
  const start = String.fromCharCode(...bytes.slice(0, 12));
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("\xff\xd8")) return "image/jpeg";
  if (start.startsWith("GIF8")) return "image/gif";
  return start.endsWith("WEBP") ? "image/webp" : "";
}

/** The usual ending of a file of this media type. */
export function extension(type: string): string {
  const [family = "", kind = ""] = type.split(";")[0]?.trim().toLowerCase().split("/") ?? [];
  const special: { [kind: string]: string } = {
    jpeg: "jpg",
    plain: "txt",
    "svg+xml": "svg",
    mpeg: "mp3",
  };
  if (!kind || kind === "octet-stream") return "bin";
  return (
    own(special, kind) ?? (/^[a-z0-9]{1,5}$/.test(kind) ? kind : family === "text" ? "txt" : "bin")
  );
}

/** The parameters as the `#` part of an address: everything but files. */
export function toHash(inputs: Input[]): string {
  const texts = given(inputs).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string",
  );
  return `#${new URLSearchParams(texts)}`;
}

/** Fills in the parameters of an address. */
export function fromHash(model: Model, hash: string) {
  const pairs = new URLSearchParams(hash.slice(1));
  if (pairs.size === 0) return;
  const named = new Map(model.inputs.map((input) => [input.name, input]));
  const found = initial(model.inputs);
  const more: Extra[] = [];
  const lists = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    const input = named.get(name);
    if (!input) more.push({ name, value });
    else if (input.list && !isBlob(input)) lists.set(name, [...(lists.get(name) ?? []), value]);
    else if (!isBlob(input)) found.set(name, value);
  }
  values.value = new Map([...found, ...lists]);
  extras.value = more;
}

/** Quotes a text as one word of a POSIX shell. */
export const shell = (text: string) => `'${text.replace(/'/g, "'\\''")}'`;
