// Makes calls with OpenAI's client: reads them as JSON, and prints the answers as JSON. It takes the
// same calls as `call_openai.py`, and gives the same answers.

import { text } from "node:stream/consumers";
import OpenAI, { OpenAIError, toFile } from "openai";

// For a single answer, in milliseconds.
const TIMEOUT = 60_000;

function clientOf(call) {
  return new OpenAI({
    baseURL: `http://${call.address}/v1`,
    apiKey: call.key ?? "none",
    defaultHeaders: call.headers,
    timeout: TIMEOUT,
    ...("max_retries" in call && { maxRetries: call.max_retries }),
  });
}

// `create_variation` is `createVariation` here.
function methodOf(client, call) {
  const parts = call.method.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()).split(".");
  const name = parts.pop();
  const owner = parts.reduce((value, part) => value[part], client);
  return owner[name].bind(owner);
}

// An argument; a file has a name, bytes and a type.
async function argument(value) {
  if (Array.isArray(value)) return Promise.all(value.map(argument));
  if (value?.file)
    return toFile(Buffer.from(value.base64, "base64"), value.file, { type: value.type });
  return value;
}

// This client takes one argument: the members of the request, or the id of a model.
async function arguments_(call) {
  const given = call.arguments ?? {};
  if (call.method === "models.retrieve") return [given.model];
  const { extra_body: more, ...members } = given;
  const pairs = Object.entries({ ...members, ...more }).map(async ([name, value]) => [
    name,
    await argument(value),
  ]);
  return [Object.fromEntries(await Promise.all(pairs))];
}

async function plain(answer) {
  if (answer instanceof Response) {
    const sound = Buffer.from(await answer.arrayBuffer()).toString("base64");
    return { base64: sound, type: answer.headers.get("content-type") };
  }
  if (typeof answer !== "object") return answer;
  const { output_text: addedByTheClient, ...members } = JSON.parse(JSON.stringify(answer));
  return members;
}

// Returns the class of an exception, its status, and the error as the server described it.
function failure(error) {
  if (!(error instanceof OpenAIError)) throw error;
  return {
    raised: error.constructor.name,
    status: error.status ?? null,
    error: error.error ?? error.message,
  };
}

// Reads the chunks of a stream, or the first ones; a failure stands beside those before it.
async function read(stream, call) {
  const chunks = [];
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      if (chunks.length === call.stop_after) break;
    }
  } catch (error) {
    return { chunks, ...failure(error) };
  }
  return chunks;
}

// Reads a stream with the client's own helper, and returns the text that it puts together.
async function finished(call) {
  const stream = methodOf(clientOf(call), call)(...(await arguments_(call)));
  if (call.method.startsWith("responses")) return (await stream.finalResponse()).output_text;
  return stream.finalContent();
}

// Reads many streams at once. Returns the number of the stream and the text of each chunk.
async function together(call) {
  const seen = [];
  const client = clientOf(call);
  const follow = async (number) => {
    for await (const chunk of await methodOf(client, call)(...(await arguments_(call)))) {
      const content = chunk.choices[0]?.delta.content;
      if (content) seen.push([number, content]);
    }
  };
  await Promise.all([...Array(call.together).keys()].map(follow));
  return seen;
}

async function made(call) {
  if (call.together) return together(call);
  try {
    if (call.method.endsWith(".stream")) return await finished(call);
    const answer = await methodOf(clientOf(call), call)(...(await arguments_(call)));
    if (call.method === "models.list") return answer.data;
    return answer?.[Symbol.asyncIterator] ? await read(answer, call) : await plain(answer);
  } catch (error) {
    return failure(error);
  }
}

const answers = [];
for (const call of JSON.parse(await text(process.stdin))) answers.push(await made(call));
process.stdout.write(JSON.stringify(answers));
