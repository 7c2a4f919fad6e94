/** The model as the server describes it at `/schema`. */

import { type Json, parseJson, writeJson } from "./json";

/** The shape of an input, independent of the name of its type. */
export type Shape =
  | { kind: "text"; format?: string }
  | { kind: "blob"; media: string }
  | { kind: "number"; whole: boolean }
  | { kind: "flag" }
  | { kind: "choice" }
  | { kind: "json" };

export interface Input {
  name: string;
  shape: Shape;
  required: boolean;
  description?: string;
  default?: Json;
  choices?: Json[];
  min?: number | bigint;
  max?: number | bigint;
  max_bytes?: number;
  /** The formats that a file may have, by name. */
  formats?: string[];
  /** The same as media types and endings of names, for a picker (HTML, section 4.10.5.1.17). */
  accept?: string;
  /** The media type to record in, if the program cannot decode the usual ones. */
  recording?: string;
  /** True if the input is a list. All but the default and the examples then describes one item. */
  list?: boolean;
  min_items?: number;
  max_items?: number;
  examples?: Json[];
}

export interface About {
  name?: string;
  description?: string;
  version?: string;
  examples?: { [input: string]: Json }[];
}

/** The author's declaration of the result. */
export interface Outputs {
  content_type?: string;
  schema?: Json;
  /** The view of a result of JSON that is open first. */
  view?: "boxes" | "labels" | "table" | "tree" | "raw";
}

export interface Model {
  inputs: Input[];
  outputs: Outputs | null;
  /** The kinds of work that the author declares, such as `chat`. */
  tasks: string[];
  /** The protocols that the server has. */
  dialects: string[];
  visualizer_config: Json;
  model: About;
  /** The model's name for clients of other protocols. */
  model_id: string;
  needs_token: boolean;
}

/** The model, if the server knew it when it sent the page. */
export function embedded(): Model | null {
  const text = document.getElementById("model")?.textContent;
  return text ? (parseJson(text) as unknown as Model) : null;
}

/** Requests the description of the model; there is none while the model is being loaded. */
export async function described(): Promise<Model | null> {
  const schema = await fetch("schema");
  return schema.ok ? (parseJson(await schema.text()) as unknown as Model) : null;
}

/** Requests the model until the server has it. Reports a permanent failure. */
export async function whenReady(tellWhy: (reason: string) => void): Promise<Model> {
  for (;;) {
    try {
      const response = await fetch("readyz");
      const { status, reason } = (await response.json()) as { status: string; reason?: string };
      const model = response.ok && (await described());
      if (model) return model;
      if (status === "failed") tellWhy(reason ?? "");
    } catch {
      // The server may be restarting.
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Returns a record's own property. Names come from users, and `constructor` may be one. */
export function own<T>(record: { [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Returns a value as a user would type it. */
export function typed(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : writeJson(value);
}

/** Returns true if the input lists the media type or the ending of the name; true where it lists none. */
export function isListed({ accept }: Input, type: string, name = ""): boolean {
  const ending = /\.[^.]+$/.exec(name.toLowerCase())?.[0];
  const isIt = (one: string) =>
    one === type || one === ending || (one.endsWith("/*") && type.startsWith(one.slice(0, -1)));
  return !accept || accept.split(",").some(isIt);
}

/** The maximum number of rows that are drawn or added at once. */
export const MOST_ROWS = 100;

/** The rows of a list at the start. */
export const leastItems = ({ required, min_items = 0 }: Input) =>
  required ? Math.min(Math.max(min_items, 1), MOST_ROWS) : 0;

/** Returns true if any text is valid, even an empty one. */
export const isFreeText = ({ shape }: Input) => shape.kind === "text" && !shape.format;
export const isBlob = (input: Input) => input.shape.kind === "blob";
