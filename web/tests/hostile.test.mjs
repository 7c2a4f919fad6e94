/** Results, names and errors that contain markup or scripts: the page runs none of them. */

import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { inspect, launch, open, run } from "./browser.mjs";
import { example, model, Server } from "./server.mjs";

const RECEIPT = example("ocr/receipt.png");
let browser;
let servers;

before(async () => {
  [browser, ...servers] = await Promise.all([
    launch(),
    Server.start(model("echo")),
    Server.start(model("hostile")),
  ]);
});
after(async () => {
  await browser?.close();
  for (const server of servers ?? []) await server.stop();
});

const say = async (page, word, status) => {
  await page.locator("#input-0").fill(word);
  await run(page, status);
  // By now, any injected code would have run.
  await page.waitForTimeout(200);
};

it("shows keys, values and labels of JSON as text", async () => {
  const page = await open(browser, servers[0].url);
  await page.locator("#input-1").setInputFiles(RECEIPT);
  await say(page, "hostile");
  await page.waitForSelector(".overlay path");
  for (const summary of ["Table, rows: 2", "Tree", "Raw"])
    await page.getByText(summary, { exact: true }).click();
  await page.locator(".entries button").first().hover();
  assert.equal(await page.locator(".overlay img").count(), 1);
  assert.equal(await page.locator(".result a:not([download])").count(), 0);
  await inspect(page, "hostile");
  await page.end();
});

for (const [word, status] of [
  ["html", "Done"],
  ["svg", "Done"],
  ["fail", "Failed"],
  ["raise", "Failed"],
]) {
  it(`a result that is ${word}`, async () => {
    const page = await open(browser, servers[0].url);
    await say(page, word, status);
    assert.equal(
      await page.locator(".result b, .result script, .result iframe, .result svg").count(),
      0,
    );
    await inspect(page, `hostile-${word}`);
    await page.end();
  });
}

it("does not run a download that is opened in the browser", async () => {
  const page = await open(browser, servers[0].url);
  await say(page, "html");
  const type = await page
    .evaluate(async () =>
      (await fetch(document.querySelector("a[download]").href)).headers.get("content-type"),
    )
    .catch(() => "refused");
  assert.ok(["application/octet-stream", "refused"].includes(type), type);
  await page.context().close();
});

it("shows names, descriptions, choices and examples as text", async () => {
  const page = await open(browser, servers[1].url);
  await page
    .locator("input[type=file]")
    .first()
    .setInputFiles({
      name: '<img src=x onerror="window.ran=1">.png',
      mimeType: "image/png",
      buffer: Buffer.from("none"),
    });
  await page.waitForSelector("figcaption");
  await page.getByText("Use it from code").click();
  await run(page, "Failed");
  await page.waitForTimeout(200);
  assert.equal(await page.locator(".columns b, header b").count(), 0);
  await inspect(page, "hostile-names");
  await page.end();
});

it("shows markup in an address as text", async () => {
  const hash = `#${new URLSearchParams({ say: "<img src=x onerror=window.ran=1>", "<b>": "<b>", __proto__: "x" })}`;
  const page = await open(browser, servers[0].url, { hash });
  assert.equal(await page.locator("#input-0").inputValue(), "<img src=x onerror=window.ran=1>");
  await page.end();
});
