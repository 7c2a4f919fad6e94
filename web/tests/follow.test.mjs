/** The page of a program under `--reload`: it shows errors, and keeps filled-in values. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { inspect, launch, open, run } from "./browser.mjs";
import { Server } from "./server.mjs";

const MODEL = `
import ai_integration
SCHEMA = {SCHEMA}
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result({"content-type": "text/plain", "data": "VERSION", "success": True})
`;
const TEXT = `"say": {"type": "text"}`;
const program = (version, schema = TEXT) =>
  MODEL.replace("SCHEMA}", `${schema}}`).replace("VERSION", version);

let browser;
let folder;
let file;

before(async () => {
  browser = await launch();
  folder = mkdtempSync(join(tmpdir(), "followed-"));
  file = join(folder, "model.py");
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

it("shows why a changed program fails until it is fixed, and the old one serves meanwhile", async () => {
  writeFileSync(file, program("one"));
  const server = await Server.start(file, { AI_INTEGRATION_RELOAD: "1" });
  const page = await open(browser, server.url);
  await page.locator("#input-0").fill("typed");
  writeFileSync(file, "import ai_integration\nraise ValueError('not yet')\n");
  const alert = page.getByRole("alert");
  await alert.getByText("ValueError: not yet").waitFor();
  assert.match(await alert.textContent(), /The program cannot be started.*model\.py/);
  await inspect(page, "broken-program");
  await run(page, "Done");
  writeFileSync(file, program("two"));
  await alert.waitFor({ state: "detached" });
  assert.equal(await page.locator("#input-0").inputValue(), "typed");
  await run(page, "Done");
  assert.match(await page.locator("pre.text").textContent(), /two/);
  await page.end();
  await server.stop();
});

it("draws the form again for changed inputs, and keeps the values of unchanged ones", async () => {
  const inputs = `${TEXT}, "size": {"type": "integer", "default": 1}, "gone": {"type": "text"}`;
  writeFileSync(file, program("one", inputs));
  const server = await Server.start(file, { AI_INTEGRATION_RELOAD: "1" });
  const page = await open(browser, server.url);
  await page.getByLabel("say").fill("typed");
  await page.getByLabel("gone").fill("typed too");
  const others = `"new": {"type": "text", "default": "fresh"}, ${TEXT}, "size": {"type": "integer", "default": 2}`;
  writeFileSync(file, program("two", others));
  await page.getByLabel("new").waitFor();
  assert.equal(await page.getByLabel("gone").count(), 0);
  const filled = (name) => page.getByLabel(name).inputValue();
  assert.deepEqual(
    [await filled("new"), await filled("say"), await filled("size")],
    ["fresh", "typed", "2"],
  );
  await run(page, "Done");
  await page.end();
  await server.stop();
});
