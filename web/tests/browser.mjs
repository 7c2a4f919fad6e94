/** Runs Debian's Chromium, and checks what must hold for every page. */

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const SCREENSHOTS =
  process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../.cache/screenshots/", import.meta.url));
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const WIDE = { width: 1400, height: 900 };
export const PHONE = { width: 390, height: 844 };

export const launch = () =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-quic"],
      ...["--disable-background-networking", "--disable-component-update"],
      ...["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
    ],
  });

/** Opens a page in its own browser profile. Its `check` fails if the page has logged an error. */
export async function open(browser, url, { viewport = WIDE, hash = "", ...options } = {}) {
  const context = await browser.newContext({
    viewport,
    locale: "en-US",
    acceptDownloads: true,
    // Without transitions, colours are never checked halfway.
    reducedMotion: "reduce",
    ...options,
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write", "camera", "microphone"], {
    origin: url,
  });
  const page = await context.newPage();
  const troubles = [];
  page.on("console", (message) => {
    // Chromium also logs responses with an error status, which tests cause on purpose.
    const isResponse = message
      .text()
      .startsWith("Failed to load resource: the server responded with");
    if (["error", "warning"].includes(message.type()) && !isResponse) troubles.push(message.text());
  });
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("dialog", (dialog) => {
    troubles.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const address = request.url();
    if (!address.startsWith(`${url}/`) && !/^(blob|data):/.test(address))
      troubles.push(`a request to ${address}`);
  });
  await page.addInitScript(() => {
    window.reports = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      window.reports.push(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  await page.goto(`${url}/${hash}`);
  await page.waitForSelector("form");
  page.check = async () => {
    assert.deepEqual(troubles, []);
    assert.deepEqual(await page.evaluate(() => window.reports), []);
    assert.equal(await page.evaluate(() => window.ran), undefined, "something ran that should not");
  };
  /** Checks the page once more, and closes it. */
  page.end = async () => {
    await page.check();
    await context.close();
  };
  return page;
}

/** Checks the accessibility in light and dark and the width of the page, and takes a picture. */
export async function inspect(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
    const found = violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("\n    ")}`,
    );
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
    mkdirSync(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: `${SCREENSHOTS}/${name}-${colorScheme}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  const [width, window] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
  ]);
  assert.ok(width <= window, `${name}: ${width} pixels wide in a window of ${window}`);
  await page.check();
}

export const field = (page, name) => page.getByLabel(name, { exact: false }).first();

/** The JSON of a result, as the page shows it raw. */
export async function rawJson(page) {
  await page.locator("summary", { hasText: "Raw" }).click();
  return JSON.parse(await page.locator("pre.code[aria-label=Raw]").textContent());
}

/** Drops files, each of a name, a media type and its bytes, on an element. */
export const drop = (target, ...files) =>
  target.evaluate(
    (element, given) => {
      const data = new DataTransfer();
      for (const [name, type, content] of given)
        data.items.add(new File([Uint8Array.from(content)], name, { type }));
      const options = { bubbles: true, cancelable: true, dataTransfer: data };
      element.dispatchEvent(new DragEvent("drop", options));
    },
    files.map(([name, type, content]) => [name, type, [...content]]),
  );

/** Runs the model, and waits until the request has ended. */
export async function run(page, status = "Done", patience = 60_000) {
  const isCall = (request) => request.url().endsWith("/infer");
  const over = ["requestfinished", "requestfailed"].map((event) =>
    page.waitForEvent(event, { predicate: isCall, timeout: patience }),
  );
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await Promise.any(over);
  // Without this wait, the page may still show the call before.
  await page.locator("button.stop").waitFor({ state: "detached", timeout: patience });
  await ended(page, status, patience);
}

/** Waits until the read value is the expected one. */
export async function becomes(read, expected) {
  let found;
  for (let turn = 0; turn < 100; turn += 1) {
    found = await read();
    if (found === expected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(found, expected);
}

export async function ended(page, status = "Done", patience = 60_000) {
  await page
    .locator(".status [role=status]")
    .first()
    .filter({ hasText: status })
    .waitFor({ timeout: patience });
}
