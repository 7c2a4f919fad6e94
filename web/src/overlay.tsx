/** Draws outlines over their picture, beside a list of them. A click on one marks it in both. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useUrl } from "./hooks";
import { language, t } from "./i18n";
import type { Drawn } from "./shapes";

/** The number of entries that the list shows at first, and that each click adds. */
const PAGE = 200;
/** The maximum number of labels in the picture. Labels are off at first if there are more. */
const MOST_LABELS = 100;
/** The maximum number of distinct labels that are shown at first. More would hide the picture. */
const MOST_KINDS = 12;
const COLOURS = 8;

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

export function Overlay({ picture, shapes }: { picture: File; shapes: Drawn[] }) {
  const url = useUrl(picture);
  const [extent, setExtent] = useState<{ width: number; height: number } | null>(null);
  const [zoom, setZoom] = useState(0);
  const [threshold, setThreshold] = useState(0);
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const [active, setActive] = useState<number | null>(null);
  const [shown, setShown] = useState(PAGE);
  const [isLabelled, setLabelled] = useState(true);
  const root = useRef<HTMLDivElement>(null);
  const drawing = useRef<SVGSVGElement>(null);
  const list = useRef<HTMLOListElement>(null);

  const labels = useMemo(() => [...new Set(shapes.map(({ label }) => label))].sort(), [shapes]);
  const scores = useMemo(() => shapes.flatMap(({ score }) => score ?? []), [shapes]);
  const lowest = useMemo(
    () => scores.reduce((least, one) => Math.min(least, one), Infinity),
    [scores],
  );
  const highest = useMemo(
    () => scores.reduce((most, one) => Math.max(most, one), -Infinity),
    [scores],
  );
  const isVisible = ({ label, score }: Drawn) =>
    !hidden.has(label) && (score ?? Infinity) >= threshold;
  const visible = useMemo(
    () => shapes.flatMap((shape, index) => (isVisible(shape) ? index : [])),
    [shapes, hidden, threshold],
  );
  useEffect(() => {
    setThreshold(lowest === Infinity ? 0 : lowest);
    setHidden(new Set());
    setActive(null);
    setShown(PAGE);
    setLabelled(labels.length <= MOST_KINDS && shapes.length <= MOST_LABELS);
  }, [shapes, lowest]);

  // Drawn once: later, outlines are only hidden or marked, since there may be thousands.
  const outlines = useMemo(
    () =>
      extent &&
      shapes.map(({ label, outline }, index) => (
        <path
          key={index}
          data-index={index}
          class={`colour-${Math.max(labels.indexOf(label), 0) % COLOURS}`}
          d={`M${outline.map(([x, y]) => `${x} ${y}`).join("L")}Z`}
          tabindex={-1}
          role="img"
          aria-label={named(shapes[index])}
        />
      )),
    [shapes, extent, language.value],
  );
  useEffect(() => {
    const seen = new Set(visible);
    drawing.current?.querySelectorAll("path").forEach((path, index) => {
      path.style.display = seen.has(index) ? "" : "none";
    });
  }, [visible, outlines]);
  useEffect(() => {
    const path = outlineAt(active);
    path?.classList.add("active");
    return () => path?.classList.remove("active");
  }, [active, outlines]);

  const outlineAt = (index: number | null) =>
    index === null
      ? null
      : drawing.current?.querySelector<SVGPathElement>(`path[data-index="${index}"]`);
  const entryAt = (index: number) =>
    list.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
  const indexOf = (event: Event) => {
    const index = (event.target as Element).closest("[data-index]")?.getAttribute("data-index");
    return index == null ? null : Number(index);
  };
  const focused = () => {
    const index = root.current?.querySelector(":focus")?.getAttribute("data-index");
    return index == null ? null : Number(index);
  };
  /** Marks the outline below a moving pointer, but not when the page scrolls below a resting one. */
  const point = (event: PointerEvent) => {
    if (event.movementX || event.movementY) setActive(indexOf(event) ?? focused());
  };
  /** Moves to an entry of the list, which may have to show more entries first. */
  const toList = (index: number) => {
    setShown(Math.max(shown, visible.indexOf(index) + 1));
    requestAnimationFrame(() => {
      entryAt(index)?.scrollIntoView({ block: "nearest", inline: "nearest" });
      entryAt(index)?.focus();
    });
  };
  /** Arrow keys move through the visible outlines; Enter moves between the list and the picture. */
  const walk = (event: KeyboardEvent, isInList: boolean) => {
    const index = indexOf(event);
    if (index === null) return;
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = visible[visible.indexOf(index) + step];
      if (next === undefined) return;
      (isInList ? entryAt(next) : outlineAt(next))?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (!isInList) return toList(index);
      outlineAt(index)?.scrollIntoView({ block: "nearest", inline: "nearest" });
      outlineAt(index)?.focus();
    } else if (event.key === "Escape" && !isInList) {
      toList(index);
    }
  };

  const width = extent?.width ?? 1;
  const percent = `${(ZOOMS[zoom] ?? 1) * 100}%`;
  const labelled = isLabelled ? visible.slice(0, MOST_LABELS) : active === null ? [] : [active];
  const letters = width / 45 / (ZOOMS[zoom] ?? 1);
  return (
    <div class="overlay" ref={root}>
      <div class="row" role="group" aria-label={t("zoom")}>
        <button
          type="button"
          class="quiet"
          aria-label={t("zoom_out")}
          disabled={zoom === 0}
          onClick={() => setZoom(zoom - 1)}
        >
          −
        </button>
        <span>{percent}</span>
        <button
          type="button"
          class="quiet"
          aria-label={t("zoom_in")}
          disabled={zoom === ZOOMS.length - 1}
          onClick={() => setZoom(zoom + 1)}
        >
          +
        </button>
        <label>
          <input
            type="checkbox"
            checked={isLabelled}
            onChange={(event) => setLabelled(event.currentTarget.checked)}
          />
          {t("show_labels")}
        </label>
        {scores.length > 0 && lowest < highest && (
          <label class="threshold">
            {t("score_from", figure(threshold))}
            <input
              type="range"
              min={lowest}
              max={highest}
              step={(highest - lowest) / 100}
              value={threshold}
              onInput={(event) => setThreshold(Number(event.currentTarget.value))}
            />
          </label>
        )}
      </div>
      <div
        class={zoom === 0 ? "scroller whole" : "scroller"}
        tabIndex={0}
        role="region"
        aria-label={t("picture")}
      >
        <div class="canvas" style={{ width: percent }}>
          <img
            src={url}
            alt={t("annotated_picture", visible.length)}
            onLoad={({ currentTarget: image }) =>
              setExtent({ width: image.naturalWidth, height: image.naturalHeight })
            }
          />
          {extent && (
            <svg
              ref={drawing}
              viewBox={`0 0 ${extent.width} ${extent.height}`}
              preserveAspectRatio="none"
              onPointerMove={point}
              onPointerLeave={() => setActive(focused())}
              onClick={(event) => {
                const index = indexOf(event);
                if (index !== null) toList(index);
              }}
              onFocusIn={(event) => setActive(indexOf(event))}
              onKeyDown={(event) => walk(event, false)}
            >
              {outlines}
              <g class="labels" aria-hidden="true" font-size={letters}>
                {labelled.map((index) => (
                  <text
                    key={index}
                    x={shapes[index]?.outline[0]?.[0]}
                    y={(shapes[index]?.outline[0]?.[1] ?? 0) - letters / 4}
                  >
                    {shortened(shapes[index]?.label ?? "")}
                  </text>
                ))}
              </g>
            </svg>
          )}
        </div>
      </div>
      {labels.length > 1 && labels.length <= 30 && labels.length < shapes.length && (
        <fieldset class="labels">
          <legend>{t("labels")}</legend>
          {labels.map((label) => (
            <label key={label}>
              <input
                type="checkbox"
                checked={!hidden.has(label)}
                onChange={(event) => {
                  const next = new Set(hidden);
                  if (event.currentTarget.checked) next.delete(label);
                  else next.add(label);
                  setHidden(next);
                }}
              />
              <bdi>{label || t("no_label")}</bdi> (
              {shapes.reduce((count, shape) => count + Number(shape.label === label), 0)})
            </label>
          ))}
        </fieldset>
      )}
      <p>
        <small>{t("found", visible.length, shapes.length)}</small>
      </p>
      <ol
        ref={list}
        class="entries"
        aria-label={t("annotations")}
        onPointerMove={point}
        onPointerLeave={() => setActive(focused())}
        onFocusIn={(event) => setActive(indexOf(event))}
        onKeyDown={(event) => walk(event, true)}
        onClick={(event) => {
          setActive(indexOf(event));
          outlineAt(indexOf(event))?.scrollIntoView({ block: "nearest", inline: "nearest" });
        }}
      >
        {visible.slice(0, shown).map((index, place) => (
          <li key={index}>
            <button
              type="button"
              class={index === active ? "quiet active" : "quiet"}
              data-index={index}
              tabIndex={place === 0 || index === active ? 0 : -1}
            >
              <bdi>{named(shapes[index])}</bdi>
            </button>
          </li>
        ))}
      </ol>
      {visible.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown + PAGE)}>
          {t("show_more")}
        </button>
      )}
    </div>
  );
}

function named(shape: Drawn | undefined): string {
  if (!shape) return "";
  const label = shape.label || t("no_label");
  return shape.score === null ? label : `${label} · ${figure(shape.score)}`;
}

function figure(number: number): string {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: 3 }).format(number);
}

const shortened = (text: string) => (text.length > 30 ? `${text.slice(0, 29)}…` : text);
