/**
 * Reads and writes JSON whose integers keep all their digits: an integer that a JavaScript number
 * cannot hold becomes a `bigint`. Browsers without access to a number's source round it.
 */

export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

/** Reads JSON. */
export function parseJson(text: string): Json {
  // `exact` is called for every value, which is slow: it is used only if there is a long integer.
  return /(?<![.\d])\d{16}/.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

function exact(_key: string, value: Json, context?: { source?: string }): Json {
  const source = context?.source ?? "";
  const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
  return isRounded && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** Writes JSON. */
export function writeJson(value: Json): string {
  return JSON.stringify(value, (_key, inner: Json) =>
    typeof inner === "bigint" ? rawJSON(String(inner)) : inner,
  );
}

/** `JSON.rawJSON` keeps a number as it was written. TypeScript does not declare it yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
