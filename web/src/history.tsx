/** Earlier calls, kept in this browser and nowhere else: what was filled in, and what came of it. */

import { signal } from "@preact/signals";
import { clear, createStore, del, entries, set as put } from "idb-keyval";
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
} from "./run";
import { type Extra, extras, type Value, type Values, values } from "./values";

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

/** Entries of one model that are kept. */
const MOST = 30;
/** What an entry may take up, in bytes; of a larger one the files are left out. */
const LARGEST = 32 * 1024 * 1024;

const history = signal<Entry[]>([]);
const store = createStore("ai_integration", "history");

/** Tells models apart. */
const keyOf = (model: Model) =>
  JSON.stringify([
    model.model.name ?? "",
    model.inputs.map(({ name, shape }) => [name, shape.kind]),
  ]);

/** Reads what was kept. A browser that keeps nothing has an empty history. */
export async function recall(model: Model) {
  try {
    const all = await entries<number, Entry>(store);
    const own = all.map(([, entry]) => entry).filter((entry) => entry.model === keyOf(model));
    history.value = own.sort((one, other) => other.time - one.time);
  } catch {
    history.value = [];
  }
}

/** Keeps the call that has just ended. */
export async function keep(model: Model) {
  if (phase.value !== "done" && phase.value !== "failed") return;
  const large = (outcome.value?.data.size ?? 0) > LARGEST;
  const kept = [...values.value].map(([name, value]): [string, Value] => [
    name,
    value instanceof File && value.size > LARGEST ? null : value,
  ]);
  const entry: Entry = {
    model: keyOf(model),
    time: Date.now(),
    values: new Map(kept),
    extras: extras.value,
    phase: phase.value,
    outcome: large ? null : outcome.value,
    problem: problem.value,
    elapsed: elapsed.value,
  };
  const [fresh, old] = [[entry, ...history.value].slice(0, MOST), history.value.slice(MOST - 1)];
  history.value = fresh;
  try {
    await put(entry.time, entry, store);
    for (const { time } of old) await del(time, store);
  } catch {
    // Private windows and full disks keep nothing; this page still has it.
  }
}

async function forget(entry: Entry) {
  history.value = history.value.filter((one) => one !== entry);
  await del(entry.time, store).catch(() => undefined);
}

async function forgetAll() {
  history.value = [];
  await clear(store).catch(() => undefined);
}

function restore(entry: Entry) {
  values.value = entry.values;
  extras.value = entry.extras;
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
                onClick={() => void forget(entry)}
              >
                ×
              </button>
            </li>
          );
        })}
      </ol>
      <button type="button" class="quiet" onClick={() => void forgetAll()}>
        {t("forget_all")}
      </button>
    </section>
  );
}

function summary({ values }: Entry): string {
  const words = [...values.values()].flatMap((value) =>
    value instanceof File ? value.name : (value ?? []),
  );
  const text = words.filter(Boolean).join(", ");
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
