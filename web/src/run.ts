/** One request to the model: its inputs, its progress and its outcome. */

import { batch, computed, signal } from "@preact/signals";
import { eventsOf } from "./events";
import type { Json } from "./json";

export interface Outcome {
  type: string;
  data: Blob;
  /** The data as text, where the model sent text. */
  text: string | null;
  /** The members of a list; `data` is empty then. */
  parts?: Blob[];
}

/** An error from the server (RFC 9457) or from the network. */
export interface Problem {
  title: string;
  detail: string;
  code?: string;
  request_id?: string;
  errors?: { name: string; message: string }[];
}

export type Phase = "idle" | "sending" | "queued" | "running" | "done" | "failed" | "cancelled";

export const phase = signal<Phase>("idle");
/** The requests before this one in the queue. */
export const position = signal<number | null>(null);
export const progress = signal<{ fraction: number | null; message: string | null } | null>(null);
export const logs = signal<string[]>([]);
/** The text of the response so far. */
export const streamed = signal("");
export const outcome = signal<Outcome | null>(null);
export const problem = signal<Problem | null>(null);
/** Milliseconds since the call began; after its end, its duration. */
export const elapsed = signal(0);
export const isBusy = computed(() => ["sending", "queued", "running"].includes(phase.value));

/** Lines of the log that are kept. */
const MOST_LOGS = 1000;

let controller: AbortController | null = null;

/** Shows the outcome of an earlier call. */
export function show(past: {
  phase: Phase;
  outcome: Outcome | null;
  problem: Problem | null;
  elapsed: number;
}) {
  batch(() => {
    reset();
    phase.value = past.phase;
    outcome.value = past.outcome;
    problem.value = past.problem;
    elapsed.value = past.elapsed;
  });
}

export function cancel() {
  controller?.abort();
}

function reset() {
  position.value = null;
  progress.value = null;
  logs.value = [];
  streamed.value = "";
  outcome.value = null;
  problem.value = null;
  elapsed.value = 0;
}

/** Sends the request, and returns when it has succeeded, failed or been cancelled. */
export async function run(body: Blob) {
  cancel();
  const own = new AbortController();
  controller = own;
  const begun = performance.now();
  batch(() => {
    reset();
    phase.value = "sending";
  });
  const clock = setInterval(() => {
    elapsed.value = performance.now() - begun;
  }, 100);
  try {
    await follow(body, own.signal);
  } catch (error) {
    if (own.signal.aborted) {
      if (controller === own) phase.value = "cancelled";
    } else {
      fail({
        title: "",
        detail: String(error instanceof Error ? error.message : error),
        code: "network",
      });
    }
  } finally {
    clearInterval(clock);
    if (controller === own) {
      elapsed.value = performance.now() - begun;
      controller = null;
    }
  }
}

async function follow(body: Blob, abort: AbortSignal) {
  const response = await fetch("infer", {
    method: "POST",
    body,
    headers: { Accept: "text/event-stream" },
    signal: abort,
  });
  if (!response.ok || !response.body) {
    const text = await response.text();
    fail(problemOf(text) ?? { title: `${response.status} ${response.statusText}`, detail: text });
    return;
  }
  const parts: Part[] = [];
  const texts: string[] = [];
  const decoder = new TextDecoder();
  let type = "";
  const repaint = throttled(() => {
    streamed.value = texts.join("");
  });
  for await (const event of eventsOf(response.body)) {
    const data = JSON.parse(event.data);
    switch (event.name) {
      case "queued":
        batch(() => {
          phase.value = "queued";
          position.value = data.position;
        });
        break;
      case "started":
        phase.value = "running";
        break;
      case "progress":
        batch(() => {
          phase.value = "running";
          progress.value = data;
        });
        break;
      case "log":
        logs.value = [...logs.value.slice(1 - MOST_LOGS), data.message];
        break;
      case "chunk":
        phase.value = "running";
        type = data.content_type ?? type;
        parts.push(partOf(data));
        if (data.base64 === undefined) texts.push(data.text ?? "");
        else if (isText(type)) texts.push(decoder.decode(bytesOf(data.base64), { stream: true }));
        repaint();
        break;
      case "result":
        repaint.stop();
        if (Array.isArray(data.data)) {
          finishList(data.content_type, data.data);
          return;
        }
        if (data.text !== undefined || data.base64 !== undefined)
          parts.splice(0, parts.length, partOf(data));
        finish(data.content_type ?? type, parts);
        return;
      case "error":
        repaint.now();
        fail(data);
        return;
    }
  }
  fail({ title: "", detail: "", code: "broken" });
}

type Part = string | Uint8Array<ArrayBuffer>;

function partOf(data: { text?: string; base64?: string }): Part {
  return data.base64 === undefined ? (data.text ?? "") : bytesOf(data.base64);
}

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** The media type without its parameters. */
export const essence = (type: string) => type.split(";")[0]?.trim().toLowerCase() ?? "";

export const isJson = (type: string) => /^application\/json$|\+json$/.test(essence(type));

/** Returns true if data of this type is text, however the model sent it. */
const isText = (type: string) => isJson(type) || /^$|^text\//.test(essence(type));

function finish(type: string, parts: Part[]) {
  batch(() => {
    outcome.value = { type, data: new Blob(parts, { type }), text: textOf(type, parts) };
    phase.value = "done";
  });
}

/** Ends the call with a list, whose members come as `data:` URLs. */
function finishList(type: string, urls: string[]) {
  const parts = urls.map((url) => new Blob([bytesOf(url.slice(url.indexOf(",") + 1))], { type }));
  batch(() => {
    outcome.value = { type, data: new Blob([], { type }), text: null, parts };
    phase.value = "done";
  });
}

/** Returns the size of an outcome in bytes. */
export const sizeOf = (outcome: Outcome | null) =>
  [outcome?.data, ...(outcome?.parts ?? [])].reduce((sum, blob) => sum + (blob?.size ?? 0), 0);

function textOf(type: string, parts: Part[]): string | null {
  if (parts.every((part) => typeof part === "string")) return parts.join("");
  if (!isText(type)) return null;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    const read = (part: Part) =>
      typeof part === "string" ? part : decoder.decode(part, { stream: true });
    return parts.map(read).join("") + decoder.decode();
  } catch {
    return null;
  }
}

function fail(why: Problem) {
  batch(() => {
    problem.value = why;
    phase.value = "failed";
  });
}

function problemOf(text: string): Problem | null {
  try {
    const problem = JSON.parse(text) as { [key: string]: Json };
    return typeof problem.detail === "string" ? (problem as unknown as Problem) : null;
  } catch {
    return null;
  }
}

/** Calls `what` at most once for each frame that the browser draws. */
function throttled(what: () => void) {
  let waiting = 0;
  const call = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      what();
    });
  };
  call.stop = () => cancelAnimationFrame(waiting);
  call.now = () => {
    call.stop();
    what();
  };
  return call;
}
