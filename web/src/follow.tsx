/**
 * Follows a program under `--reload`: shows the error if a changed program cannot be started, and
 * draws the form again if the inputs have changed.
 */

import { signal } from "@preact/signals";
import { t } from "./i18n";
import { type Json, parseJson, writeJson } from "./json";
import type { Model } from "./model";

interface Broken {
  /** The changed files, in words, if a change was the reason. */
  changed: string | null;
  detail: string;
}

const PAUSE = 1000;

/** The reason why the program on the server's disk cannot be started. */
export const broken = signal<Broken | null>(null);

/** Asks the server for its revision every second, under `--reload`. Returns a function that stops it. */
export function follow(shown: () => Model | null, show: (model: Model) => void): () => void {
  if (document.getElementById("app")?.dataset.follows === undefined) return () => {};
  let known: number | undefined;
  const look = async () => {
    const response = await fetch("revision");
    if (!response.ok) return;
    const latest = (await response.json()) as { revision: number; broken: Broken | null };
    broken.value = latest.broken;
    if (latest.revision === known) return;
    const schema = await fetch("schema");
    if (!schema.ok) return;
    const model = parseJson(await schema.text());
    known = latest.revision;
    const before = shown();
    if (before && writeJson(before as unknown as Json) !== writeJson(model))
      show(model as unknown as Model);
  };
  let timer = 0;
  const turn = async () => {
    // A server that restarts will respond later.
    if (!document.hidden) await look().catch(() => {});
    if (timer >= 0) timer = window.setTimeout(turn, PAUSE);
  };
  void turn();
  return () => {
    clearTimeout(timer);
    timer = -1;
  };
}

/** Shows why the program cannot be started, for as long as it cannot. */
export function BrokenProgram() {
  if (!broken.value) return null;
  const { changed, detail } = broken.value;
  return (
    <aside class="failure">
      <div role="alert">
        <p>
          <strong>{t("program_broken")}</strong>
          {changed && (
            <>
              {" "}
              <bdi>{changed}</bdi>
            </>
          )}
        </p>
        <pre dir="auto">{detail}</pre>
      </div>
    </aside>
  );
}
