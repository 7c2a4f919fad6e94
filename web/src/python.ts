/** Writes the request as Python code that uses the package's `Client`. */

import type { Input } from "./model";

export type Pair = [name: string, value: string | File];

export interface Call {
  /** The folder of the server's addresses. */
  folder: string;
  inputs: Input[];
  pairs: Pair[];
  needsToken: boolean;
}

export function inPython({ folder, inputs, pairs, needsToken }: Call): string {
  const known = new Map(inputs.map((input) => [input.name, input]));
  const items = new Map<string, (string | File)[]>();
  for (const [name, value] of pairs) items.set(name, [...(items.get(name) ?? []), value]);
  const given = [...items].map(([name, all]) => argument(name, valueOf(known.get(name), all)));
  const options = [
    quoted(folder),
    needsToken && `token=os.environ["TOKEN"]`,
    [...items.keys()].some((name) => !known.has(name)) && "allow_unknown=True",
  ];
  const imports = [
    needsToken && "import os",
    pairs.some(([, value]) => value instanceof File) && "from pathlib import Path",
  ].filter(Boolean);
  return [
    '# pip install "ai-integration>=2"',
    ...imports,
    ...(imports.length > 0 ? [""] : []),
    "from ai_integration import Client",
    "",
    `client = Client(${options.filter(Boolean).join(", ")})`,
    ...(given.length > 0
      ? ["result = client.predict(", ...given.map((one) => `    ${one},`), ")"]
      : ["result = client.predict()"]),
    "print(result)",
  ].join("\n");
}

/** Writes an argument; a name that is not a Python identifier goes into a dict. */
function argument(name: string, value: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !KEYWORDS.has(name)
    ? `${name}=${value}`
    : `**{${quoted(name)}: ${value}}`;
}

export function valueOf(input: Input | undefined, items: (string | File)[]): string {
  const kind = input?.shape.kind ?? "text";
  const written = items.map((item) => itemOf(kind, item));
  if (!input?.list) return items.length > 1 ? `[${written.join(", ")}]` : (written[0] ?? "None");
  // The form sends an empty list as `[]`, except lists of texts and of JSON.
  const isEmpty = items.length === 1 && items[0] === "[]" && !["text", "json"].includes(kind);
  return isEmpty ? "[]" : `[${written.join(", ")}]`;
}

function itemOf(kind: string, item: string | File): string {
  if (item instanceof File) return `Path(${quoted(item.name)})`;
  if (kind === "number" && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(item)) return item;
  if (kind === "flag" && (item === "true" || item === "false")) return WORDS[item] ?? item;
  return (kind === "json" && ofJson(item)) || quoted(item);
}

/** Writes JSON as Python, with all digits of its numbers; returns "" if the text is not JSON. */
function ofJson(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return "";
  }
  return text.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (part) =>
    part.startsWith('"') ? quoted(JSON.parse(part) as string) : (WORDS[part] ?? part),
  );
}

/** Writes a text as JSON: Python has the same escapes, except for lone surrogates. */
export const quoted = (text: string) => JSON.stringify(text);

const WORDS: { [word: string]: string } = { true: "True", false: "False", null: "None" };

const KEYWORDS = new Set(
  (
    "False None True and as assert async await break class continue def del elif else except " +
    "finally for from global if import in is lambda nonlocal not or pass raise return try while " +
    "with yield"
  ).split(" "),
);
