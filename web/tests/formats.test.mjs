/** The page of a model that lists the formats of its files. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { drop, inspect, launch, open, rawJson, run } from "./browser.mjs";
import { example, model, Server } from "./server.mjs";

const RECEIPT = example("ocr/receipt.png");
let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(model("formats"))]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const field = (page, name) =>
  page.locator(".field", { has: page.getByText(name, { exact: true }) });

describe("an input that lists formats", () => {
  it("has a picker for these formats, and lists them", async () => {
    const page = await open(browser, server.url);
    const accepts = await page
      .locator("input[type=file]")
      .evaluateAll((pickers) => pickers.map(({ accept }) => accept));
    assert.deepEqual(accepts, [
      "image/png,.png",
      "image/heic,.heic,.heif,.hif",
      "audio/wav,.wav,.wave,audio/mpeg,.mp3",
      "audio/mpeg,.mp3",
      "audio/*",
      "video/webm,.webm,.weba",
      "application/pdf,.pdf,application/x-mine",
    ]);
    assert.match(await field(page, "talk").textContent(), /wav, mp3/);
    await inspect(page, "formats");
    await page.end();
  });

  it("refuses a file of another format with a message, wherever it is dropped", async () => {
    const page = await open(browser, server.url);
    const gif = Buffer.from("GIF89a");
    const words = "a.gif is not accepted here. Accepted: png";
    for (const target of [field(page, "photo").locator(".picker"), page.locator("body")]) {
      await drop(target, ["a.gif", "image/gif", gif]);
      await field(page, "photo").getByText(words).waitFor();
      assert.equal(await page.locator("img[alt^=Preview]").count(), 0);
      await inspect(page, "refused-format");
      await drop(target, ["a.png", "image/png", readFileSync(RECEIPT)]);
      await page.waitForSelector("img[alt='Preview of a.png']");
      assert.equal(await page.getByText(words).count(), 0);
      await page.getByRole("button", { name: "Remove photo" }).click();
    }
    // Only the server can find out the format of these files.
    await drop(field(page, "paper").locator(".picker"), ["a.mine", "", Buffer.from("mine")]);
    await page.getByText("a.mine").waitFor();
    await drop(field(page, "song").locator(".picker"), ["a.mp3", "", gif]);
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText("expected a sound in the format mp3, got gif").first().waitFor();
    await page.end();
  });

  it("is recorded in a listed format, or cannot be recorded", async () => {
    const page = await open(browser, server.url);
    for (const name of ["scan", "song", "paper"])
      assert.equal(await field(page, name).locator("button").count(), 0, name);
    await field(page, "photo").getByRole("button", { name: "Camera" }).click();
    await page.waitForFunction(() => document.querySelector("video")?.videoWidth > 0);
    await page.getByRole("button", { name: "Take a picture" }).click();
    await page.waitForSelector("img[alt='Preview of camera.png']");
    for (const [name, device, file] of [
      ["talk", "Microphone", "audio[aria-label='Preview of recording.wav']"],
      ["speech", "Microphone", "audio[aria-label='Preview of recording.wav']"],
      ["film", "Camera", "video[aria-label='Preview of recording.webm']"],
    ]) {
      await field(page, name).getByRole("button", { name: device }).click();
      await page.getByRole("button", { name: "Record" }).click();
      await page.waitForTimeout(700);
      await page.getByRole("button", { name: "Stop" }).click();
      await page.waitForSelector(file);
    }
    await run(page);
    assert.deepEqual(await rawJson(page), {
      photo: "b'\\x89PNG'",
      talk: "b'RIFF'",
      speech: "float32",
      film: "b'\\x1aE\\xdf\\xa3'",
    });
    await page.end();
  });
});
