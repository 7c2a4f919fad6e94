/** The page while a request runs: its place in the queue, its progress, and streamed text. */

import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { ended, inspect, launch, open, run } from "./browser.mjs";
import { model, Server } from "./server.mjs";

let browser;
let echo;
let busy;

before(async () => {
  [browser, echo, busy] = await Promise.all([
    launch(),
    Server.start(model("echo")),
    Server.start(model("busy")),
  ]);
});
after(async () => {
  await browser?.close();
  await echo?.stop();
  await busy?.stop();
});

/** A request that keeps the worker busy. */
const occupy = (seconds, abort) =>
  fetch(`${busy.url}/infer`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ seconds }),
    signal: abort?.signal,
  });
const queued = async () => {
  const text = await (await fetch(`${busy.url}/metrics`)).text();
  return Number(/^ai_integration_queue_depth (\d+)/m.exec(text)?.[1]);
};

it("shows the place in the queue, and the progress once the request runs", async () => {
  const page = await open(browser, busy.url);
  const others = [occupy(8), occupy(2), occupy(2)];
  while ((await queued()) < 2) await page.waitForTimeout(50);
  await page.locator("#input-0").fill("10");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await ended(page, "before this: 2");
  await inspect(page, "queued");
  await ended(page, "before this: 1");
  await ended(page, "next in line");
  await ended(page, "Running");
  await page.getByText("part 5").first().waitFor();
  assert.ok((await page.locator("progress").getAttribute("value")) >= 0.5);
  await inspect(page, "running");
  await ended(page, "Done");
  await page.getByText(/^Log, lines/).click();
  assert.match(await page.locator(".result details pre").textContent(), /part 9/);
  await Promise.all(others);
  await page.end();
});

it("does not run a request that is cancelled in the queue", async () => {
  const page = await open(browser, busy.url);
  const other = occupy(2);
  await page.waitForTimeout(200);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await ended(page, "next in line");
  await page.getByRole("button", { name: "Cancel" }).first().click();
  await ended(page, "Cancelled");
  while ((await queued()) > 0) await page.waitForTimeout(50);
  await inspect(page, "cancelled");
  await other;
  await page.end();
});

it("streams text, and is cancelled half way", async () => {
  const page = await open(browser, echo.url);
  await page.locator("#input-0").fill("stream");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator("pre.text", { hasText: "word40" }).waitFor();
  assert.doesNotMatch(await page.locator("pre.text").textContent(), /word190/);
  await inspect(page, "streaming");
  await page.getByRole("button", { name: "Cancel" }).first().click();
  await ended(page, "Cancelled");
  const text = await page.locator("pre.text").textContent();
  assert.match(text, /word40/);
  // The model can take the next request.
  await page.locator("#input-0").fill("text");
  const begun = Date.now();
  await run(page);
  assert.ok(Date.now() - begun < 3000);
  await page.end();
});

it("shows an error if the server is gone, and works again after a restart", async () => {
  const own = await Server.start(model("echo"));
  const page = await open(browser, own.url);
  await own.stop();
  await page.locator("#input-0").fill("text");
  page.removeAllListeners("console");
  await run(page, "Failed");
  assert.match(await page.locator(".failure").textContent(), /cannot be reached/);
  const port = new URL(own.url).port;
  const again = await Server.start(model("echo"), { PORT: port });
  await run(page, "Done");
  await again.stop();
  await page.context().close();
});

it("waits for a model that is loading", async () => {
  const port = String(20000 + Math.floor(Math.random() * 20000));
  const starting = Server.start(model("slow_start"), { PORT: port });
  const page = await (await browser.newContext()).newPage();
  for (let turn = 0; turn < 100; turn += 1) {
    if (
      await page.goto(`http://127.0.0.1:${port}/`).then(
        () => true,
        () => false,
      )
    )
      break;
    await page.waitForTimeout(50);
  }
  await page.getByRole("heading", { name: "is loading" }).waitFor();
  await page.waitForSelector("form");
  await page.context().close();
  await (await starting).stop();
});
