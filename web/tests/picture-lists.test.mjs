/** Lists of pictures as results: side by side, with downloads, comparison and history. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, it } from "node:test";
import { becomes, ended, inspect, launch, open, PHONE, run } from "./browser.mjs";
import { example, model, Server } from "./server.mjs";

const RECEIPT = example("ocr/receipt.png");
let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(model("echo"))]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const say = (page) => page.getByLabel("say");
const loaded = (page, selector, count) =>
  page.waitForFunction(
    ([selector, count]) => {
      const images = [...document.querySelectorAll(selector)];
      return images.length === count && images.every((image) => image.naturalWidth > 0);
    },
    [selector, count],
  );
const tops = (page) =>
  page.locator(".gallery li").evaluateAll((items) => items.map((item) => item.offsetTop));

it("shows pictures side by side, each with its download", async () => {
  const page = await open(browser, server.url);
  await say(page).fill("pictures");
  await run(page);
  await loaded(page, ".gallery img.shown", 4);
  assert.equal(await page.getByAltText("Resulting picture 3").count(), 1);
  const [first, second] = await tops(page);
  assert.equal(first, second);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator(".gallery a").nth(1).click(),
  ]);
  assert.equal(download.suggestedFilename(), "result-2.svg");
  assert.match(readFileSync(await download.path(), "utf8"), /height="160".*navy/);
  await inspect(page, "list");
  await page.setViewportSize(PHONE);
  await inspect(page, "list-phone");
  await page.end();
});

it("keeps them in the history", async () => {
  const page = await open(browser, server.url);
  await say(page).fill("pictures");
  await run(page);
  await say(page).fill("text");
  await run(page);
  await becomes(() => page.locator(".gallery").count(), 0);
  await page.reload();
  const entries = page.locator(".history li");
  await entries.nth(1).getByRole("button").first().click();
  await ended(page);
  await loaded(page, ".gallery img.shown", 4);
  await page.end();
});

it("compares each with the picture that was sent", async () => {
  const page = await open(browser, server.url);
  await say(page).fill("same pictures");
  await page.getByLabel("image").first().setInputFiles(RECEIPT);
  await run(page);
  await loaded(page, ".gallery .pair img:not(.before)", 3);
  await loaded(page, ".gallery .pair img.before", 3);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator(".gallery a").last().click(),
  ]);
  assert.deepEqual(readFileSync(await download.path()), readFileSync(RECEIPT));
  await inspect(page, "list-compared");
  await page.end();
});

it("shows more pictures on a click", async () => {
  const page = await open(browser, server.url);
  await say(page).fill("many pictures");
  await page.getByLabel("image").first().setInputFiles(RECEIPT);
  await run(page);
  await becomes(() => page.locator(".gallery li").count(), 60);
  await page.getByRole("button", { name: "Show more" }).click();
  await becomes(() => page.locator(".gallery li").count(), 100);
  await becomes(() => page.getByRole("button", { name: "Show more" }).count(), 0);
  await page.end();
});
