/** Every language translates every key, with the same placeholders. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { it } from "node:test";

const FOLDER = new URL("../src/locales/", import.meta.url);
const read = (name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
const places = (text) => (text.match(/\{\d\}/g) ?? []).sort();

for (const name of readdirSync(FOLDER)) {
  it(name, () => {
    const [english, words] = [read("en.json"), read(name)];
    assert.deepEqual(Object.keys(words), Object.keys(english).sort());
    for (const [key, text] of Object.entries(english))
      assert.deepEqual(places(words[key]), places(text), key);
  });
}
