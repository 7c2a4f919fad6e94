/** Finds the boxes and polygons in a result that can be drawn over a picture, in its pixels. */

import type { Json } from "./json";
import { own, typed } from "./model";

export type Point = [x: number, y: number];

export interface Drawn {
  label: string;
  score: number | null;
  outline: Point[];
}

type Record = { [key: string]: Json };

/** The depth to which lists are searched, and the most entries of a list that are drawn. */
const DEPTH = 4;
const MOST = 20_000;

/** Names under which results have labels and scores, the usual first. */
const LABELS = ["label", "name", "class", "class_name", "category", "text"];
const SCORES = ["score", "confidence", "probability"];
const BOXES = ["bounding_box", "bbox", "box"];
const POLYGONS = ["mask_vertices", "polygon", "vertices"];

const isRecord = (value: Json | undefined): value is Record =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value: Json | undefined): value is number =>
  typeof value === "number" && Number.isFinite(value);

/** Returns the outlines in a result. `config` is the model's `visualizer_config`, which may be missing. */
export function findShapes(result: Json, config: Json): Drawn[] {
  const labelKey =
    isRecord(config) && typeof config.label_key === "string" ? config.label_key : null;
  // The model may have seen a smaller picture, and then gives its outlines in that one's pixels.
  const applied = isRecord(result) ? result.scale_applied : null;
  const scale = isNumber(applied) && applied > 0 ? 1 / applied : 1;
  const drawn: Drawn[] = [];
  for (const entry of listOf(result, config, hasOutline)) {
    const outline = outlineOf(entry);
    if (!outline) continue;
    const label = labelKey
      ? own(entry, labelKey)
      : LABELS.map((key) => own(entry, key)).find((one) => one !== undefined);
    const score = SCORES.map((key) => entry[key]).find(isNumber) ?? null;
    drawn.push({
      label: typed(label),
      score,
      outline: outline.map(([x, y]): Point => [x * scale, y * scale]),
    });
    if (drawn.length === MOST) break;
  }
  return drawn;
}

/** Returns the records for a table: the result itself, or a list in it. */
export function records(result: Json, config: Json): Record[] {
  return listOf(result, config, () => true);
}

/** The records under the configuration's `list_key`, or the first list of records that fit. */
function listOf(result: Json, config: Json, fits: (record: Record) => boolean): Record[] {
  if (isRecord(config) && typeof config.list_key === "string" && isRecord(result)) {
    const listed = own(result, config.list_key);
    if (Array.isArray(listed)) return listed.filter(isRecord);
  }
  const search = (value: Json, depth: number): Record[] => {
    if (Array.isArray(value)) {
      return value.every(isRecord) && value.some(fits) ? value : [];
    }
    if (!isRecord(value) || depth === 0) return [];
    for (const inner of Object.values(value)) {
      const found = search(inner, depth - 1);
      if (found.length > 0) return found;
    }
    return [];
  };
  return search(result, DEPTH);
}

const hasOutline = (record: Record) => outlineOf(record) !== null;

function outlineOf(record: Record): Point[] | null {
  for (const key of POLYGONS) {
    const points = record[key];
    if (Array.isArray(points) && points.length > 2 && points.every(isPoint))
      return points as Point[];
  }
  for (const key of BOXES) {
    const box = boxOf(record[key]);
    if (box) {
      const [x, y, width, height] = box;
      return [
        [x, y],
        [x + width, y],
        [x + width, y + height],
        [x, y + height],
      ];
    }
  }
  return null;
}

const isPoint = (value: Json) =>
  Array.isArray(value) && value.length === 2 && value.every(isNumber);

/** Left, top, width and height: as a list, by these names, or by the names of the four sides. */
function boxOf(value: Json | undefined): [number, number, number, number] | null {
  if (Array.isArray(value) && value.length === 4 && value.every(isNumber)) {
    return value as [number, number, number, number];
  }
  if (!isRecord(value)) return null;
  const { x, y, width, height, xmin, ymin, xmax, ymax } = value;
  if (isNumber(x) && isNumber(y) && isNumber(width) && isNumber(height))
    return [x, y, width, height];
  if (isNumber(xmin) && isNumber(ymin) && isNumber(xmax) && isNumber(ymax)) {
    return [xmin, ymin, xmax - xmin, ymax - ymin];
  }
  return null;
}
