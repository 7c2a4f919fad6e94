/** The history: earlier requests and their results, kept in this browser only. */

import { signal } from "@preact/signals";
import { createStore, delMany, entries, keys, set as put } from "idb-keyval";
import { language, seconds, t } from "./i18n";
import type { Model } from "./model";
import {
  elapsed,
  isBusy,
  type Outcome,
  outcome,
  type Phase,
  phase,
  type Problem,
  problem,
  show,
  sizeOf,
} from "./run";
import {
  each,
  type Extra,
  extras,
  type Item,
  sent,
  type Value,
  type Values,
  values,
} from "./values";

interface Entry {
  /** The models that were served at this address share its storage. */
  model: string;
  time: number;
  values: Values;
  extras: Extra[];
  phase: Phase;
  outcome: Outcome | null;
  problem: Problem | null;
  elapsed: number;
}

/** The maximum number of entries of one model, and of all models that this address has served. */
const MOST = 30;
const MOST_OF_ALL = 100;
/** The maximum size of an entry's files together, in bytes. Larger files are lost with the page. */
const LARGEST = 32 * 1024 * 1024;

const history = signal<Entry[]>([]);
const store = createStore("ai_integration", "history");

/** Identifies a model; a proxy may serve several below different paths of one site. */
function keyOf(model: Model) {
  const { pathname } = new URL(".", document.baseURI);
  return JSON.stringify([
    model.model.name ?? "",
    model.inputs.map(({ name, shape, list }) => [name, list ? `${shape.kind}[]` : shape.kind]),
    ...(pathname === "/" ? [] : [pathname]),
  ]);
}

/** Reads the history. It is empty if the browser stores nothing. */
export async function recall(model: Model) {
  try {
    const all = await entries<number, Entry>(store);
    const own = all.map(([, entry]) => entry).filter((entry) => entry.model === keyOf(model));
    history.value = own.sort((one, other) => other.time - one.time);
  } catch {
    history.value = [];
  }
}

/** Stores the request that has just ended. */
export async function keep(model: Model) {
  if (phase.value !== "done" && phase.value !== "failed") return;
  const entry: Entry = {
    model: keyOf(model),
    time: Date.now(),
    ...sent.value,
    phase: phase.value,
    outcome: outcome.value,
    problem: problem.value,
    elapsed: elapsed.value,
  };
  const old = history.value.slice(MOST - 1);
  history.value = [entry, ...history.value.slice(0, MOST - 1)];
  try {
    await put(entry.time, lightened(entry), store);
    // Also removes entries of other models, whose pages may never be opened again.
    const others = (await keys<number>(store)).sort((one, other) => other - one);
    await delMany([...old.map(({ time }) => time), ...others.slice(MOST_OF_ALL)], store);
  } catch {
    // Private windows and full disks store nothing; the entry stays until the page is closed.
  }
}

/** Returns the entry without the files and the outcome that are too large to store. */
function lightened(entry: Entry): Entry {
  const taken = sizeOf(entry.outcome);
  let room = LARGEST - taken;
  const fits = (value: Item) => {
    if (!(value instanceof File)) return true;
    room -= value.size;
    return room >= 0;
  };
  const values = [...entry.values].map(([name, value]): [string, Value] => {
    if (Array.isArray(value)) return [name, value.filter(fits)];
    return [name, fits(value as Item) ? value : null];
  });
  const outcome = taken > LARGEST ? null : entry.outcome;
  return { ...entry, values: new Map(values), outcome };
}

async function forget(entries: Entry[]) {
  const times = entries.map(({ time }) => time);
  // Deletes the entries from the disk, too.
  try {
    await delMany(times, store);
  } catch {
    // A browser may refuse storage, as in a frame on another site.
  }
  history.value = history.value.filter((entry) => !entries.includes(entry));
  document.getElementById("result")?.focus();
}

function restore(entry: Entry) {
  const { values: given, extras: more } = entry;
  values.value = given;
  extras.value = more;
  sent.value = { values: given, extras: more };
  show(entry);
}

export function History() {
  if (history.value.length === 0) return null;
  const clock = new Intl.DateTimeFormat(language.value, {
    dateStyle: "short",
    timeStyle: "medium",
  });
  return (
    <section class="history" aria-labelledby="history">
      <h2 id="history">{t("history")}</h2>
      <p>
        <small>{t("history_note")}</small>
      </p>
      <ol>
        {history.value.map((entry) => {
          const when = clock.format(entry.time);
          return (
            <li key={entry.time} class="row">
              <button
                type="button"
                class="quiet wide"
                disabled={isBusy.value}
                onClick={() => restore(entry)}
              >
                {when} · {t(entry.phase === "done" ? "done" : "failed")} · {seconds(entry.elapsed)}
                <br />
                <small dir="auto">{summary(entry)}</small>
              </button>
              <button
                type="button"
                class="quiet"
                aria-label={t("forget", when)}
                onClick={() => void forget([entry])}
              >
                ×
              </button>
            </li>
          );
        })}
      </ol>
      <button type="button" class="quiet" onClick={() => void forget(history.value)}>
        {t("forget_all")}
      </button>
    </section>
  );
}

function summary({ values }: Entry): string {
  const words = each(values).flatMap(([, value]) =>
    value instanceof File ? value.name : (value ?? []),
  );
  const text = words.filter(Boolean).join(", ");
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
