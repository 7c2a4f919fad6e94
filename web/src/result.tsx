/** Shows the result of a call by its content type, and never as markup. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Compare } from "./compare";
import { useUrl } from "./hooks";
import { seconds, size, t } from "./i18n";
import { type Json, parseJson } from "./json";
import { Bars, labelsOf } from "./labels";
import type { Model } from "./model";
import { Overlay } from "./overlay";
import {
  cancel,
  elapsed,
  essence,
  isJson,
  logs,
  type Outcome,
  outcome,
  phase,
  position,
  type Problem,
  problem,
  progress,
  streamed,
} from "./run";
import { findShapes, records } from "./shapes";
import { Table } from "./table";
import { Tree } from "./tree";
import { each, extension, sent } from "./values";

/** The maximum number of characters that are shown. The download has the whole text. */
const MOST_TEXT = 200_000;
/** The number of members of a list that are shown at first, and that each click adds. */
const PAGE = 60;

export function Result({ model }: { model: Model }) {
  return (
    <section class="result" aria-labelledby="result">
      <h2 id="result" tabIndex={-1}>
        {t("result")}
      </h2>
      <Status />
      {streamed.value && !outcome.value && (
        <Text text={streamed.value} isRunning={phase.value === "running"} />
      )}
      {problem.value && <Failure why={problem.value} />}
      {outcome.value &&
        (outcome.value.parts ? (
          <List type={outcome.value.type} parts={outcome.value.parts} model={model} />
        ) : (
          <Shown outcome={outcome.value} model={model} />
        ))}
      <Logs />
    </section>
  );
}

function Status() {
  const { fraction, message } = progress.value ?? {};
  const isOver = phase.value !== "sending" && phase.value !== "queued" && phase.value !== "running";
  return (
    <div class="status">
      <p class="row">
        <span role="status">{words()}</span>
        {phase.value !== "idle" && <span class="clock">{seconds(elapsed.value)}</span>}
      </p>
      {!isOver && (
        <>
          <progress
            aria-label={t("progress")}
            value={phase.value === "running" ? (fraction ?? undefined) : undefined}
            max={1}
          />
          {message && <p dir="auto">{message}</p>}
          {phase.value !== "sending" && (
            <button type="button" class="quiet" onClick={cancel}>
              {t("cancel")}
            </button>
          )}
        </>
      )}
    </div>
  );
}

function words(): string {
  switch (phase.value) {
    case "idle":
      return t("nothing_yet");
    case "queued":
      return position.value ? t("queued_behind", position.value) : t("queued_next");
    default:
      return t(phase.value);
  }
}

function Failure({ why }: { why: Problem }) {
  const detail =
    why.code === "network" || why.code === "broken" ? t(why.code, why.detail) : why.detail;
  const start = detail.search(/^Traceback \(most recent call last\):/m);
  const lines = detail.trimEnd().split("\n");
  // The last line of a traceback has the error message.
  const short = start < 0 ? detail : detail.slice(0, start).trim() || lines[lines.length - 1] || "";
  return (
    <div class="failure" role="alert">
      {why.title && (
        <p>
          <strong>{why.title}</strong>
        </p>
      )}
      <pre dir="auto">{short}</pre>
      {start >= 0 && (
        <details>
          <summary>{t("traceback")}</summary>
          <pre dir="ltr" tabIndex={0}>
            {detail}
          </pre>
        </details>
      )}
      {why.request_id && (
        <small>
          {t("request_id")} <code>{why.request_id}</code>
        </small>
      )}
    </div>
  );
}

/** Several results of one type, side by side. */
function List({ type, parts, model }: { type: string; parts: Blob[]; model: Model }) {
  const [shown, setShown] = useState(PAGE);
  return (
    <>
      <ol class="gallery" aria-label={t("results", parts.length)}>
        {parts.slice(0, shown).map((data, index) => (
          <li key={index}>
            <Shown outcome={{ type, data, text: null }} model={model} number={index + 1} />
          </li>
        ))}
      </ol>
      {parts.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown + PAGE)}>
          {t("show_more")}
        </button>
      )}
    </>
  );
}

interface Properties {
  outcome: Outcome;
  model: Model;
  /** The number of the result in a list, counted from 1. */
  number?: number;
}

function Shown({ outcome, model, number }: Properties) {
  const type = essence(outcome.type);
  const family = type.split("/")[0];
  return (
    <>
      {family === "image" && <Picture outcome={outcome} model={model} number={number} />}
      {family === "audio" && <Player outcome={outcome} />}
      {family === "video" && <Player outcome={outcome} isVideo />}
      {isJson(type) && outcome.text !== null ? (
        <JsonResult text={outcome.text} model={model} />
      ) : (
        outcome.text !== null && type !== "image/svg+xml" && <Text text={outcome.text} />
      )}
      <Download outcome={outcome} number={number} />
    </>
  );
}

function Download({ outcome: { data, type }, number }: { outcome: Outcome; number?: number }) {
  const name = number === undefined ? "result" : `result-${number}`;
  // A browser that opens the file instead must not show it as a page of this site.
  const url = useUrl(useMemo(() => new Blob([data], { type: "application/octet-stream" }), [data]));
  return (
    <p>
      <a class="quiet" href={url} download={`${name}.${extension(type)}`}>
        {t("download")}
      </a>{" "}
      <small>
        {type && <bdi>{type}</bdi>}
        {type && " · "}
        {size(data.size)}
      </small>
    </p>
  );
}

/** Shows a picture. If the request had pictures, it can be compared with them. */
function Picture({ outcome, model, number }: Properties) {
  const url = useUrl(outcome.data);
  const pictures = useMemo(() => picturesOf(model), [sent.value]);
  const label =
    number === undefined ? t("resulting_picture") : t("resulting_picture_number", number);
  return pictures.length > 0 ? (
    <Compare before={pictures} after={url} label={label} />
  ) : (
    <img class="shown" src={url} alt={label} />
  );
}

/** Returns the pictures of the request. */
function picturesOf(model: Model): { name: string; file: File }[] {
  return model.inputs.flatMap((input) => {
    const { shape } = input;
    const given = each(new Map([[input.name, sent.value.values.get(input.name) ?? null]]));
    return given.flatMap(([name, file]) => {
      const isPicture =
        file instanceof File &&
        shape.kind === "blob" &&
        (shape.media.startsWith("image/") || file.type.startsWith("image/"));
      return isPicture ? [{ name, file }] : [];
    });
  });
}

function Player({ outcome, isVideo }: { outcome: Outcome; isVideo?: boolean }) {
  const url = useUrl(outcome.data);
  return isVideo ? (
    <video class="shown" src={url} controls aria-label={t("result")} />
  ) : (
    <audio src={url} controls aria-label={t("result")} />
  );
}

function JsonResult({ text, model }: { text: string; model: Model }) {
  const json = useMemo(() => parsed(text), [text]);
  const shapes = useMemo(() => findShapes(json ?? null, model.visualizer_config), [json]);
  const rows = useMemo(() => records(json ?? null, model.visualizer_config), [json]);
  const labels = useMemo(() => labelsOf(json ?? null), [json]);
  const pictures = useMemo(() => picturesOf(model), [sent.value]);
  const [which, setWhich] = useState(0);
  const picture = pictures[Math.min(which, pictures.length - 1)];
  if (json === undefined) return <Text text={text} />;
  const view = model.outputs?.view;
  const cannotBeShown =
    (view === "boxes" && !(shapes.length > 0 && picture)) ||
    (view === "labels" && labels.length === 0) ||
    (view === "table" && rows.length === 0);
  const isOpen = (name: typeof view, otherwise: boolean) =>
    view === undefined || cannotBeShown ? otherwise : view === name;
  const isStructured = typeof json === "object" && json !== null;
  return (
    <>
      {shapes.length > 0 && picture && (
        <>
          {pictures.length > 1 && (
            <label>
              {t("picture")}
              <select
                value={which}
                onChange={(event) => setWhich(Number(event.currentTarget.value))}
              >
                {pictures.map(({ name }, index) => (
                  <option key={name} value={index}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
          )}
          <Overlay picture={picture.file} shapes={shapes} />
        </>
      )}
      {labels.length > 0 && <Bars labels={labels} />}
      {rows.length > 0 && (
        <details open={isOpen("table", shapes.length === 0)}>
          <summary>{t("table", rows.length)}</summary>
          <Table rows={rows} />
        </details>
      )}
      {isStructured ? (
        <details open={isOpen("tree", rows.length === 0 && labels.length === 0)}>
          <summary>{t("tree")}</summary>
          <Tree value={json} />
        </details>
      ) : (
        <Text text={typeof json === "string" ? json : text} />
      )}
      {isStructured && (
        <details open={isOpen("raw", false)}>
          <summary>{t("raw")}</summary>
          <Text text={text} isCode />
        </details>
      )}
    </>
  );
}

function parsed(text: string): Json | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function Text({
  text,
  isCode,
  isRunning,
}: {
  text: string;
  isCode?: boolean;
  isRunning?: boolean;
}) {
  const [wasCopied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [text]);
  const isLong = text.length > MOST_TEXT;
  const pane = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  // Follows new text only if the end is in view.
  useLayoutEffect(() => {
    if (isRunning && isAtEnd.current && pane.current)
      pane.current.scrollTop = pane.current.scrollHeight;
  }, [text, isRunning]);
  const part = isRunning ? text.slice(-MOST_TEXT) : text.slice(0, MOST_TEXT);
  return (
    <>
      <pre
        ref={pane}
        class={isCode ? "code" : "text"}
        dir="auto"
        role="region"
        tabIndex={0}
        aria-label={isCode ? t("raw") : t("text")}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          isAtEnd.current = scrollTop + clientHeight > scrollHeight - 10;
        }}
      >
        {part}
      </pre>
      {isLong && !isRunning && <p>{t("cut", size(text.length))}</p>}
      {!isRunning && (
        <button type="button" class="quiet" onClick={() => void copy(text).then(setCopied)}>
          {t(wasCopied ? "copied" : "copy")}
        </button>
      )}
    </>
  );
}

/** Puts text on the clipboard. Returns false if the browser does not allow it. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP, browsers have only the old API.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const wasCopied = document.execCommand("copy");
    area.remove();
    return wasCopied;
  }
}

function Logs() {
  if (logs.value.length === 0) return null;
  return (
    <details>
      <summary>{t("logs", logs.value.length)}</summary>
      <pre class="code" dir="ltr" tabIndex={0}>
        {logs.value.join("\n")}
      </pre>
    </details>
  );
}
