/** The page of a model that takes lists: adds and removes rows and files, and sends them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { becomes, drop, inspect, launch, open, PHONE, rawJson, run } from "./browser.mjs";
import { example, model, Server } from "./server.mjs";

const RECEIPT = readFileSync(example("ocr/receipt.png"));
const SIZE = `${RECEIPT.length} bytes`;
const picture = (name, buffer = RECEIPT) => ({ name, mimeType: "image/png", buffer });
const START = { name: "lists", numbers: [4, 2], tags: ["a"] };

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(model("lists"))]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const names = (page) => page.locator(".files bdi").allTextContents();
const images = (page) => page.locator("#input-0");
const row = (page, name, number) => page.getByLabel(`${name} ${number}`, { exact: true }).first();
const add = (page, name) => page.getByRole("button", { name: `Add an item to ${name}` }).click();
const remove = (page, name, number) =>
  page.getByRole("button", { name: `Remove ${name}, item ${number}`, exact: true }).click();

it("takes several files, in their order, and rows of everything else", async () => {
  const page = await open(browser, server.url);
  await inspect(page, "lists-empty");
  await images(page).setInputFiles([picture("a.png"), picture("b.png")]);
  await images(page).setInputFiles([picture("c.png")]);
  await becomes(async () => (await names(page)).join(), "a.png,b.png,c.png");
  await remove(page, "b.png", 2);
  await becomes(async () => (await names(page)).join(), "a.png,c.png");
  await page
    .getByLabel("files (optional)")
    .setInputFiles({ name: "x.bin", mimeType: "", buffer: Buffer.from([1, 2, 3]) });
  await row(page, "tags", 1).fill("sun\nshine");
  await add(page, "tags");
  await add(page, "tags");
  await row(page, "tags", 2).fill("gone");
  await row(page, "tags", 3).fill("語");
  await remove(page, "tags", 2);
  assert.equal(await row(page, "tags", 2).inputValue(), "語");
  await row(page, "numbers", 2).fill("9");
  await add(page, "styles");
  await add(page, "styles");
  await row(page, "styles", 1).selectOption("3");
  const full = page.getByRole("button", { name: "Add an item to styles" });
  assert.ok(await full.isDisabled(), "the list is full");
  await add(page, "flags");
  await row(page, "flags", 1).selectOption("true");
  await add(page, "days");
  await row(page, "days", 1).fill("2024-02-29");
  await add(page, "more");
  await row(page, "more", 1).fill('{"a": [1]}');
  await inspect(page, "lists-filled");
  await run(page);
  assert.deepEqual(await rawJson(page), {
    ...{ name: "lists", images: [SIZE, SIZE], files: ["3 bytes"], tags: ["sun\nshine", "語"] },
    ...{ numbers: [4, 9], styles: [3, "mosaic"], flags: [true], days: ["2024-02-29"] },
    more: [{ a: [1] }],
  });
  await page.setViewportSize(PHONE);
  await inspect(page, "lists-phone");
  await page.end();
});

it("takes no more files than the maximum, also when they are dropped", async () => {
  const page = await open(browser, server.url);
  const files = Array.from({ length: 6 }, (_, number) => [`${number}.png`, "image/png", [120]]);
  await drop(page.locator(".picker").first(), ...files);
  await becomes(async () => (await names(page)).join(), "0.png,1.png,2.png,3.png");
  assert.ok(await images(page).isDisabled());
  await remove(page, "0.png", 1);
  assert.ok(!(await images(page).isDisabled()));
  await page.end();
});

it("adds files that are dropped anywhere on the page to lists", async () => {
  const page = await open(browser, server.url);
  const pictures = ["a.png", "b.png"].map((name) => [name, "image/png", [120]]);
  await drop(page.locator("main"), ...pictures, ["c.txt", "text/plain", [120]]);
  const of = (index) => page.locator(`.picker:has(#input-${index}) .files bdi`).allTextContents();
  await becomes(async () => (await of(0)).join(), "a.png,b.png");
  await becomes(async () => (await of(1)).join(), "c.txt");
  await page.end();
});

it("shows an error at its item, also after other items were removed", async () => {
  const page = await open(browser, server.url);
  await run(page, "Failed");
  assert.match(
    await page.locator("#input-0-error").textContent(),
    /missing.*a list of 1 to 4 items/,
  );
  await images(page).setInputFiles([picture("a.png"), picture("no.png", Buffer.from("no"))]);
  await row(page, "tags", 1).fill("a");
  await row(page, "numbers", 2).fill("10");
  await run(page, "Failed");
  const number = page.locator(".row.item", { has: page.locator("#input-3-1") });
  assert.match(await number.locator(".error").textContent(), /from 1 to 9, got "10"/);
  assert.equal(await row(page, "numbers", 1).getAttribute("aria-invalid"), null);
  await row(page, "numbers", 2).fill("2");
  await run(page, "Failed");
  const file = page.locator(".files li", { hasText: "no.png" });
  assert.match(await file.locator(".error").textContent(), /expected a picture/);
  await inspect(page, "lists-wrong");
  await remove(page, "a.png", 1);
  assert.match(await file.locator(".error").textContent(), /expected a picture/);
  await remove(page, "no.png", 1);
  await images(page).setInputFiles(picture("b.png"));
  await run(page);
  assert.deepEqual(await rawJson(page), { ...START, images: [SIZE] });
  await page.end();
});

it("sends an emptied list as `[]`, and leaves out an untouched one", async () => {
  const page = await open(browser, server.url);
  await images(page).setInputFiles(picture("b.png"));
  await row(page, "tags", 1).fill("a");
  await remove(page, "numbers", 2);
  await remove(page, "numbers", 1);
  await run(page);
  assert.deepEqual(await rawJson(page), { ...START, images: [SIZE], numbers: [] });
  await page.end();
});

it("fills in examples, and keeps lists in the history and in links", async () => {
  const page = await open(browser, server.url);
  await page.locator(".examples .chip").click();
  await becomes(async () => (await names(page)).length, 2);
  assert.equal(await row(page, "tags", 3).inputValue(), "three");
  await run(page);
  assert.equal((await rawJson(page)).images.length, 2);
  await page.getByRole("button", { name: "sea, sky" }).click();
  assert.equal(await row(page, "tags", 2).inputValue(), "sky");
  await page.reload();
  await page.locator(".history li button").first().click();
  await becomes(async () => (await names(page)).length, 2);
  assert.equal(await row(page, "tags", 3).inputValue(), "three");
  await page.getByText("Use it from code").click();
  await page.getByRole("button", { name: "Copy a link" }).click();
  await page.getByText("Copied").waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const other = await open(browser, server.url, { hash: new URL(link).hash });
  assert.equal(await row(other, "tags", 3).inputValue(), "three");
  assert.equal(await row(other, "numbers", 2).inputValue(), "2");
  await other.end();
  await page.end();
});

it("shows the call as code that sends the same request", async () => {
  const page = await open(browser, server.url);
  await images(page).setInputFiles([picture("a.png"), picture("b.png")]);
  await row(page, "tags", 1).fill('it\'s "1"');
  await add(page, "tags");
  await row(page, "tags", 2).fill("@b");
  await run(page);
  const expected = await rawJson(page);
  assert.deepEqual(expected.tags, ['it\'s "1"', "@b"]);
  await page.getByText("Use it from code").click();
  // The code is written a moment after the part is opened.
  const code = page.locator(".snippets pre", { hasText: /curl|import/ });
  const folder = mkdtempSync(join(tmpdir(), "lists-"));
  for (const name of ["a.png", "b.png"]) writeFileSync(join(folder, name), RECEIPT);
  const options = { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
  const ofShell = execFileSync("sh", ["-c", `${await code.textContent()} -s`], options);
  assert.deepEqual(JSON.parse(ofShell), expected);
  await page.getByRole("button", { name: "Python" }).click();
  const python =
    process.env.TEST_PYTHON ?? new URL("../../.venv/bin/python", import.meta.url).pathname;
  const source = (await code.filter({ hasText: "import" }).textContent()).replace(
    "print(result)",
    "import json; print(json.dumps(result))",
  );
  assert.deepEqual(JSON.parse(execFileSync(python, ["-c", source], options)), expected);
  await page.end();
});

it("has rows in the plain form, and ignores empty ones", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(server.url);
  const of = (name) => page.locator(`[name=${name}]`);
  await of("images").setInputFiles([picture("a.png"), picture("b.png")]);
  await of("tags").nth(0).fill("a");
  await of("tags").nth(2).fill("b");
  await of("numbers").nth(1).fill("");
  await of("numbers").nth(2).fill("7");
  await of("styles").selectOption(["mosaic", "3"]);
  await page.locator("button[type=submit]").click();
  const text = await page.locator("pre").textContent();
  assert.deepEqual(JSON.parse(text), {
    ...{ name: "lists", images: [SIZE, SIZE], tags: ["a", "b"], numbers: [4, 7] },
    styles: ["mosaic", 3],
  });
  await context.close();
});

it("describes lists in the API reference", async () => {
  const page = await open(browser, server.url);
  await page.goto(`${server.url}/docs`);
  const types = page.locator("dt", { hasText: "images" }).first();
  assert.match(await types.textContent(), /array of 1 to 4 string image/);
  await page.end();
});
