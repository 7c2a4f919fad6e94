/** The code for the clients of other protocols, on the page and in the API reference. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { launch, open } from "./browser.mjs";
import { example, model, Server } from "./server.mjs";

const RECEIPT = example("ocr/receipt.png");
const PICTURE = readFileSync(RECEIPT).toString("base64");
const URL_OF_PICTURE = `data:image/png;base64,${PICTURE}`;
const PYTHON =
  process.env.TEST_PYTHON ?? new URL("../../.venv/bin/python", import.meta.url).pathname;
const DIALECTS = "native classic openai anthropic huggingface mcp oip grpc kserve".split(" ");
const ALWAYS = ["curl", "Python", "JavaScript"];
const TENSORS = ["Triton", "gRPC", "KServe"];
/** A folder with a picture, and with packages that print how they are called. */
const folder = mkdtempSync(join(tmpdir(), "clients-"));
let browser;
let server;
/** The page of all tests, and what `/schema` tells it in place of the server's own values. */
let page;
let told;

before(async () => {
  for (const name of ["openai", "anthropic", "huggingface_hub"])
    copyFileSync(model("client_stub"), join(folder, `${name}.py`));
  writeFileSync(join(folder, "image.png"), readFileSync(RECEIPT));
  [browser, server] = await Promise.all([
    launch(),
    Server.start(model("echo"), { AI_INTEGRATION_MODEL_ID: "echo" }),
  ]);
  page = await open(browser, server.url);
  await page.route("**/schema", async (route) => {
    const real = await (await route.fetch()).json();
    await route.fulfill({ json: { ...real, ...told } });
  });
});
after(async () => {
  await page?.end();
  await browser?.close();
  await server?.stop();
});

/** Opens the API reference of a model that the server has not: of these tasks and inputs. */
async function reference({ tasks, inputs, examples = [], ...more }) {
  told = { tasks, dialects: DIALECTS, inputs, model: { examples }, ...more };
  await page.goto(`${server.url}/docs`);
  await page.locator(".chip").first().waitFor();
}

const names = () => page.locator(".chip").allTextContents();

async function code(client) {
  await page.getByRole("button", { name: client, exact: true }).click();
  return page.locator(".snippets pre").textContent();
}

/** Runs code in Python, and returns how it calls the client. */
function calls(source, environment = {}) {
  const printed = execFileSync(PYTHON, ["-c", source], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  const lines = printed.split("\n").filter((line) => line.startsWith("["));
  return lines.map((line) => JSON.parse(line));
}

const input = (name, shape, more = {}) => ({ name, shape, required: false, ...more });
const needed = (one) => ({ ...one, required: true });
const PROMPT = 'Say "hi"\nto Ada';
const TEXT = needed(input("prompt", { kind: "text" }));
const IMAGE = input("image", { kind: "blob", media: "image/*" });
const SOUND = input("sound", { kind: "blob", media: "audio/*" });
const SEED = input("seed", { kind: "number", whole: true });
const USER = { role: "user", content: PROMPT };

/** The task, the model's inputs, and the call: its method, what it gets, and what uses the answer. */
const CALLS = {
  OpenAI: [
    ["chat", [TEXT], "chat.completions.create", { messages: [USER] }],
    ["completion", [TEXT], "completions.create", { prompt: PROMPT }],
    ["embedding", [TEXT], "embeddings.create", { input: PROMPT }],
    ["transcription", [needed(SOUND)], "audio.transcriptions.create", { file: "FILE" }],
    ["speech", [TEXT], "audio.speech.create", { input: PROMPT, voice: "alloy" }],
    ["image", [TEXT], "images.generate", { prompt: PROMPT }],
    ["image", [TEXT, needed(IMAGE)], "images.edit", { image: "image.png", prompt: PROMPT }],
  ],
  Anthropic: [["chat", [TEXT], "messages.create", { max_tokens: 1024, messages: [USER] }]],
  "Hugging Face": [
    ["chat", [TEXT], "chat_completion", [USER]],
    ["completion", [TEXT], "text_generation", PROMPT],
    ["text", [TEXT], "text_generation", PROMPT],
    ["embedding", [TEXT], "feature_extraction", PROMPT],
    ["classification", [TEXT], "text_classification", PROMPT],
    ["classification", [needed(IMAGE)], "image_classification", "image.png"],
    ["classification", [needed(SOUND)], "audio_classification", "FILE"],
    ["detection", [needed(IMAGE)], "object_detection", "image.png"],
    ["segmentation", [needed(IMAGE)], "image_segmentation", "image.png"],
    ["transcription", [needed(SOUND)], "automatic_speech_recognition", "FILE"],
    ["speech", [TEXT], "text_to_speech", PROMPT],
    ["image", [TEXT], "text_to_image", PROMPT],
  ],
};
const MADE = {
  OpenAI: ({ url }) => ["OpenAI", [{ base_url: `${url}/v1`, api_key: "none" }]],
  Anthropic: ({ url }) => ["Anthropic", [{ base_url: `${url}/`, api_key: "none" }]],
  "Hugging Face": ({ url }) => ["InferenceClient", [{ model: `${url}/` }]],
};

describe("the code for clients of other protocols", () => {
  for (const [client, all] of Object.entries(CALLS)) {
    for (const [task, inputs, method, given] of all) {
      it(`calls ${method} of ${client} for the task ${task}`, async () => {
        const has = new Set(inputs.map(({ name }) => name));
        const example = {
          ...(has.has("prompt") && { prompt: PROMPT }),
          ...(has.has("image") && { image: URL_OF_PICTURE }),
        };
        await reference({ tasks: [task], inputs, examples: [example] });
        const [made, called] = calls(await code(client));
        assert.deepEqual(made, MADE[client](server));
        const args = client === "Hugging Face" ? [given, {}] : [{ model: "echo", ...given }];
        assert.deepEqual(called, [`client.${method}`, args]);
      });
    }
  }

  it("has the inputs that a client has no argument for", async () => {
    const inputs = [
      TEXT,
      IMAGE,
      SEED,
      input("system", { kind: "text" }, { default: "" }),
      input("history", { kind: "json" }, { default: [] }),
      input("max_tokens", { kind: "number", whole: true }, { default: 64, max: 512 }),
      input("temperature", { kind: "number", whole: false }, { default: 0.5 }),
    ];
    const before = [USER, { role: "assistant", content: "hi" }];
    const first = { prompt: "Why?", image: URL_OF_PICTURE, seed: 7, system: "Be brief" };
    const examples = [{ ...first, history: before, temperature: 1 }];
    await reference({ tasks: ["chat"], inputs, examples });
    const text = { type: "text", text: "Why?" };
    const picture = { type: "image_url", image_url: { url: URL_OF_PICTURE } };
    const asked = { role: "user", content: [text, picture] };
    const system = { role: "system", content: "Be brief" };
    // The default of `max_tokens` is left out.
    const extra_body = { seed: 7, temperature: 1 };
    const messages = [system, ...before, asked];
    const [, openai] = calls(await code("OpenAI"));
    assert.deepEqual(openai[1], [{ model: "echo", messages, extra_body }]);
    const [, huggingFace] = calls(await code("Hugging Face"));
    assert.deepEqual(huggingFace[1], [messages, { extra_body }]);
    const [, anthropic] = calls(await code("Anthropic"));
    const source = { type: "base64", media_type: "image/png", data: PICTURE };
    const parts = [text, { type: "image", source }];
    assert.deepEqual(anthropic[1], [
      {
        ...{ model: "echo", max_tokens: 64, system: "Be brief", extra_body },
        messages: [...before, { role: "user", content: parts }],
      },
    ]);
  });

  it("has the examples of the inputs if the model has none", async () => {
    const inputs = [{ ...TEXT, examples: ["Why?", PROMPT] }, SEED];
    await reference({ tasks: ["completion"], inputs });
    const [, called] = calls(await code("OpenAI"));
    assert.deepEqual(called[1], [{ model: "echo", prompt: "Why?" }]);
  });

  it("has the messages of a model that takes messages", async () => {
    const messages = [USER, { role: "assistant", content: null }];
    const inputs = [needed(input("messages", { kind: "json" }))];
    await reference({ tasks: ["chat"], inputs, examples: [{ messages }] });
    const [, called] = calls(await code("OpenAI"));
    assert.deepEqual(called[1], [{ model: "echo", messages }]);
  });

  it("takes the token from the environment", async () => {
    await reference({ tasks: ["chat"], inputs: [TEXT], needs_token: true });
    for (const [client, name] of Object.entries({
      OpenAI: "api_key",
      Anthropic: "api_key",
      "Hugging Face": "token",
    })) {
      const [[, [made]]] = calls(await code(client), { TOKEN: "secret" });
      assert.equal(made[name], "secret", client);
    }
    const configured = JSON.parse(await code("MCP"));
    assert.deepEqual(configured.mcpServers.echo.headers, { Authorization: "Bearer ${TOKEN}" });
    for (const client of ["Triton", "gRPC"])
      assert.match(await code(client), /headers=\{"authorization": "Bearer " \+ os\.environ/);
    assert.match(await code("KServe"), /-H "Authorization: Bearer \$TOKEN"/);
  });

  it("is there for the protocols of the server and the tasks of the model", async () => {
    const known = {
      chat: ["OpenAI", "Anthropic", "Hugging Face"],
      embedding: ["OpenAI", "Hugging Face"],
      detection: ["Hugging Face"],
    };
    for (const [task, clients] of Object.entries(known)) {
      await reference({ tasks: [task], inputs: [TEXT] });
      assert.deepEqual(await names(), [...ALWAYS, ...clients, "MCP", ...TENSORS]);
    }
    await reference({ tasks: [], inputs: [TEXT] });
    assert.deepEqual(await names(), [...ALWAYS, "MCP", ...TENSORS]);
    await reference({
      tasks: ["chat"],
      inputs: [TEXT],
      dialects: ["native", "openai"],
    });
    assert.deepEqual(await names(), [...ALWAYS, "OpenAI"]);
  });

  it("is the configuration of the Model Context Protocol", async () => {
    await reference({ tasks: [], inputs: [TEXT] });
    const configured = JSON.parse(await code("MCP"));
    const server_ = { type: "http", url: `${server.url}/mcp` };
    assert.deepEqual(configured, { mcpServers: { echo: server_ } });
  });

  it("sends the same request with the protocol of KServe", async () => {
    await page.goto(server.url);
    await page.getByLabel("say").fill('it\'s $HOME "quoted"\n@second line \\ `ls`');
    await page.getByLabel("image").first().setInputFiles(join(folder, "image.png"));
    await page.getByLabel("fast").check();
    await page.getByText("Use it from code").click();
    const command = await code("KServe");
    const options = { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
    const answer = JSON.parse(execFileSync("sh", ["-c", `${command} -s`], options));
    assert.deepEqual(answer.predictions, [
      {
        ...{ say: 'it\'s $HOME "quoted"\n@second line \\ `ls`', image: "34111 bytes" },
        ...{ steps: 20, style: "mosaic", fast: true },
      },
    ]);
  });
});
