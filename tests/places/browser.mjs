/** Chromium for the tests: reads what to open, a JSON object in each line, and writes what was seen. */

import { createInterface } from "node:readline";
import { chromium } from "../../web/node_modules/playwright-core/index.mjs";

const browser = await chromium.launch({
  executablePath: process.env.TEST_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-quic"],
    ...["--disable-background-networking", "--disable-component-update"],
    ...["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
    // Every name is this machine's.
    "--host-resolver-rules=MAP * 127.0.0.1",
  ],
});

/** Uses the page in `frame` as a visitor does. */
async function use(page, frame, { text = "hello", status = "Done", tour, camera, other }) {
  const seen = {};
  await frame.waitForSelector("form");
  await frame.locator("#input-0").fill(text);
  const download = text === "file" && page.waitForEvent("download");
  await frame.getByRole("button", { name: "Run", exact: true }).click();
  await frame.locator(".status [role=status]").first().filter({ hasText: status }).waitFor();
  seen.result = await frame.locator("#result, .result").first().textContent();
  seen.history = await frame.locator(".history li").count();
  if (download) {
    await frame.locator("a[download]").first().click();
    seen.download = (await download).suggestedFilename();
  }
  if (other) {
    await page.goto(other);
    return { ...seen, other: await use(page, frame, { text }) };
  }
  if (seen.history) {
    await frame.getByRole("button", { name: "Clear the history" }).click();
    await frame.locator(".history").waitFor({ state: "detached" });
  }
  if (camera) {
    await frame
      .getByRole("button", { name: /camera|picture/i })
      .first()
      .click();
    seen.camera = await frame.locator(".capture [role=alert]").textContent();
  }
  if (tour) {
    await frame.locator(".snippets summary").click();
    seen.snippet = await frame.locator(".snippets pre", { hasText: "curl" }).textContent();
    await frame.getByLabel("Language").selectOption("de");
    await frame.locator("html[lang=de]").waitFor();
    await frame.locator('.snippets a[href*="docs"]').click();
    await frame.locator(".operation h2").first().waitFor();
    seen.docs = frame.url();
    await frame.locator(".docs a").nth(1).click();
    seen.openapi = JSON.parse(await frame.locator("body").textContent()).servers;
    await page.goBack();
    await frame.locator(".docs a").first().click();
    await frame.waitForSelector("form");
    seen.back = frame.url();
  }
  return seen;
}

/** Opens an address in a browser profile of its own. */
async function visit({ url, timeout, isFramed, isRefused, denies, ...what }) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-US" });
  try {
    context.setDefaultTimeout(timeout);
    const page = await context.newPage();
    const [requests, troubles] = [[], []];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
    page.on("pageerror", (error) => troubles.push(error.message));
    if (denies)
      await page.addInitScript(() => {
        for (const name of ["localStorage", "indexedDB"])
          Object.defineProperty(window, name, {
            get: () => {
              throw new DOMException("denied", "SecurityError");
            },
          });
      });
    await page.goto(url);
    const frame = isFramed ? page.frames()[1] : page.mainFrame();
    const seen = isRefused
      ? { form: await frame.locator("form").count() }
      : await use(page, frame, what);
    return { ...seen, requests: requests.filter((one) => !/^(blob|data):/.test(one)), troubles };
  } finally {
    await context.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const seen = await visit(JSON.parse(line)).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify(seen));
}
await browser.close();
