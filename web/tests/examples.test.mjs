/** The real models of `examples/`, on their pages. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, it } from "node:test";
import { ended, inspect, launch, open, run } from "./browser.mjs";
import { example, Server } from "./server.mjs";

const RECEIPT = example("ocr/receipt.png");
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const served = async (name, test) => {
  const program = name.endsWith(".py") ? name : `${name}/entrypoint.py`;
  const server = await Server.start(example(program));
  try {
    await test(server);
  } finally {
    await server.stop();
  }
};

it("text recognition has its boxes over the right words", async () => {
  await served("ocr", async (server) => {
    const page = await open(browser, server.url);
    await page.locator("#input-0").setInputFiles(RECEIPT);
    await run(page, "Done", 120_000);
    await page.waitForSelector(".overlay path");
    const form = new FormData();
    form.append("image", new Blob([readFileSync(RECEIPT)]), "receipt.png");
    const { pieces } = await (
      await fetch(`${server.url}/infer`, { method: "POST", body: form })
    ).json();
    assert.ok(pieces.length > 10);
    const picture = page.locator(".canvas img");
    const [frame, natural] = await picture.evaluate((image) => [
      image.getBoundingClientRect().toJSON(),
      image.naturalWidth,
    ]);
    const scale = frame.width / natural;
    // The sides of two words in pixels of the picture, measured by hand.
    const seen = { TOTAL: [131, 519, 225, 551], 18.12: [469, 500, 563, 534] };
    for (const [word, sides] of Object.entries(seen)) {
      const index = pieces.findIndex(({ text }) => text === word);
      assert.ok(index >= 0, word);
      const drawn = await page
        .locator(`path[data-index="${index}"]`)
        .evaluate((path) => path.getBoundingClientRect().toJSON());
      const onPicture = [
        drawn.left - frame.left,
        drawn.top - frame.top,
        drawn.right - frame.left,
        drawn.bottom - frame.top,
      ];
      const [x, y, width, height] = pieces[index].bounding_box;
      for (const [side, expected] of [x, y, x + width, y + height].entries()) {
        assert.ok(
          Math.abs(onPicture[side] / scale - expected) < 3,
          `${word}: ${onPicture} is not ${expected}`,
        );
        assert.ok(
          Math.abs(onPicture[side] / scale - sides[side]) < 10,
          `${word}: ${onPicture.map((one) => one / scale)}`,
        );
      }
    }
    assert.ok(await page.locator(".entries button", { hasText: "TOTAL" }).count());
    await page.locator(".entries button", { hasText: "TOTAL" }).hover();
    await inspect(page, "ocr");
    await page.end();
  });
});

it("a function of twelve lines has its labels as bars", async () => {
  await served("functions/labels.py", async (server) => {
    const page = await open(browser, server.url);
    await page.locator("#input-0").setInputFiles(RECEIPT);
    await run(page, "Done", 60_000);
    const rows = page.locator(".labels tr");
    assert.match(await rows.first().textContent(), /^upright/);
    assert.equal(await rows.count(), 2);
    await inspect(page, "labels");
    await page.end();
  });
});

it("style transfer shows the picture before and after", async () => {
  await served("style_transfer", async (server) => {
    const page = await open(browser, server.url);
    await page.locator("input[type=file]").first().setInputFiles(RECEIPT);
    await run(page, "Done", 180_000);
    const images = page.locator(".pair img");
    await page.waitForFunction(() =>
      [...document.querySelectorAll(".pair img")].every((image) => image.naturalWidth > 0),
    );
    assert.equal(await images.count(), 2);
    const clip = () => images.nth(1).evaluate((image) => getComputedStyle(image).clipPath);
    assert.match(await clip(), /50%/);
    await page.getByLabel("Before and after").fill("25");
    assert.match(await clip(), /75%/);
    const [one, other] = await images.evaluateAll((both) =>
      both.map((image) => image.getBoundingClientRect().toJSON()),
    );
    for (const side of ["left", "top", "width", "height"])
      assert.ok(Math.abs(one[side] - other[side]) < 2, side);
    await page.getByLabel("Before and after").fill("50");
    await inspect(page, "style-transfer");
    await page.end();
  });
});

it("text generation is streamed, and can be cancelled half way", async () => {
  await served("text_generation", async (server) => {
    const page = await open(browser, server.url);
    await page.locator("textarea").first().fill("Tell me a long story about a lighthouse.");
    await page.locator("input[type=number]").first().fill("512");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    const text = page.locator("pre.text");
    await text.waitFor({ timeout: 120_000 });
    const first = (await text.textContent()).length;
    await page.waitForFunction(
      (length) => (document.querySelector("pre.text")?.textContent.length ?? 0) > length,
      first,
    );
    await page.getByRole("button", { name: "Cancel" }).first().click();
    await ended(page, "Cancelled");
    assert.ok((await text.textContent()).length > first);
    await inspect(page, "text-generation");
    await page.end();
  });
});
