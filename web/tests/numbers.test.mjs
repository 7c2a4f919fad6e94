/** Integers that JavaScript numbers cannot hold: the page shows and sends all their digits. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, it } from "node:test";
import { becomes, launch, open, run } from "./browser.mjs";
import { model, Server } from "./server.mjs";

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(model("digits"))]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The inputs of the model, as Python writes it. */
const given = async (page) => {
  const raw = page.locator("summary", { hasText: "Raw" });
  await raw.click();
  const text = await page.locator("pre.code[aria-label=Raw]").textContent();
  await raw.click();
  return JSON.parse(text).given;
};

it("sends defaults, examples and typed integers with all their digits", async () => {
  const page = await open(browser, server.url);
  await run(page);
  assert.equal(
    await given(page),
    "{'whole': 18446744073709551617, 'choice': 9223372036854775809, 'more': [9007199254740993, 0.5]}",
  );
  await page.locator("input[type=number]").first().fill("-18446744073709551617");
  await page.locator("textarea").fill('{"a": [123456789012345678901234567890]}');
  await run(page);
  assert.equal(
    await given(page),
    "{'whole': -18446744073709551617, 'choice': 9223372036854775809, 'more': {'a': [123456789012345678901234567890]}}",
  );
  await page.getByRole("button", { name: "18446744073709551619" }).click();
  await run(page);
  assert.equal(
    await given(page),
    "{'whole': 18446744073709551619, 'choice': 9223372036854775809, 'more': {'a': 1000000000000000000000000000000}, 'seed': '1180591620717411303424'}",
  );
  await page.end();
});

it("shows the call in Python, with all digits and options beside the schema", async () => {
  const page = await open(browser, server.url);
  await page.getByRole("button", { name: "18446744073709551619" }).click();
  await run(page);
  const expected = await given(page);
  assert.match(expected, /'seed'/);
  await page.getByText("Use it from code").click();
  await page.getByRole("button", { name: "Python" }).click();
  const source = await page.locator(".snippets pre").textContent();
  assert.match(source, /whole=18446744073709551619,/);
  const python =
    process.env.TEST_PYTHON ?? new URL("../../.venv/bin/python", import.meta.url).pathname;
  const shown = source.replace("print(result)", 'print(result["given"])');
  const printed = execFileSync(python, ["-c", shown], { encoding: "utf8" });
  assert.equal(printed.trim(), expected);
  await page.end();
});

it("shows results with all their digits", async () => {
  const page = await open(browser, server.url);
  await run(page);
  await becomes(() => page.locator("td", { hasText: "18446744073709551621" }).count(), 1);
  await page.locator("summary", { hasText: "Tree" }).click();
  await becomes(
    () => page.locator(".tree", { hasText: "-1000000000000000000000000000000" }).count(),
    1,
  );
  await page.end();
});

it("shows bounds and the reference with all their digits", async () => {
  const page = await open(browser, server.url);
  assert.match(
    await page.locator("form").textContent(),
    /-18446744073709551617.*36893488147419103232/s,
  );
  await page.goto(`${server.url}/docs`);
  await page.waitForSelector("main");
  await becomes(
    async () => /18446744073709551617/.test(await page.locator("body").textContent()),
    true,
  );
  await page.end();
});
