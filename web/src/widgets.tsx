/** The widgets of the form: one for each shape, and rows of them for lists. */

import { FilePicker } from "./files";
import { t } from "./i18n";
import { type Input, leastItems, MOST_ROWS, typed } from "./model";
import { itemErrors, itemsOf, newItem, set, setItem, values } from "./values";

/** Returns true if the input is a switch, which is always on or off. */
export const isSwitch = ({ shape, required, list, default: start }: Input) =>
  shape.kind === "flag" && !list && (required || start !== undefined);

interface RowsProperties {
  input: Input;
  id: string;
  described: string | undefined;
  isWrong: boolean;
}

/** A row for each item of a list. */
export function Rows({ input, id, described, isWrong }: RowsProperties) {
  const { name, min_items = 0, max_items = Infinity } = input;
  const items = itemsOf(values.value.get(name));
  const wrong = itemErrors(input);
  const add = () => {
    const length = Math.min(Math.max(1, min_items - items.length), MOST_ROWS);
    set(name, [...items, ...Array.from({ length }, () => newItem(input))]);
  };
  return (
    <>
      {items.map((item, index) => {
        const error = wrong.get(index);
        const place = index === 0 ? id : `${id}-${index}`;
        return (
          <div class="row item" key={index}>
            <Widget
              input={input}
              id={place}
              label={`${name} ${index + 1}`}
              described={error ? `${place}-wrong` : described}
              isWrong={isWrong || !!error}
              text={typeof item === "string" ? item : ""}
              change={(text) => setItem(input, index, text)}
            />
            <button
              type="button"
              class="quiet"
              aria-label={t("remove_item", name, index + 1)}
              disabled={items.length <= leastItems(input)}
              onClick={() => setItem(input, index, undefined)}
            >
              ×
            </button>
            {error && (
              <small id={`${place}-wrong`} class="error" dir="auto">
                {error}
              </small>
            )}
          </div>
        );
      })}
      <button type="button" class="quiet" disabled={items.length >= max_items} onClick={add}>
        {t("add_item", name)}
      </button>
    </>
  );
}

interface WidgetProperties {
  input: Input;
  id: string;
  described: string | undefined;
  isWrong: boolean;
  /** The name of an item, which has no label of its own. */
  label?: string;
  text: string;
  change(text: string): void;
}

/** The placeholder of a text input, by the format of its text. */
const PLACEHOLDERS = new Map([["date-time", "2024-02-29T12:30:00Z"]]);

export function Widget({ input, id, described, isWrong, label, text, change }: WidgetProperties) {
  const { name, shape, list, min, max } = input;
  const required = input.required && !list;
  const common = {
    id,
    required,
    "aria-label": label,
    "aria-describedby": described,
    "aria-invalid": isWrong || undefined,
  };
  const typing = {
    value: text,
    dir: "auto" as const,
    onInput: (event: { currentTarget: { value: string } }) => change(event.currentTarget.value),
  };
  switch (shape.kind) {
    case "blob":
      return (
        <FilePicker
          input={input}
          media={shape.media}
          id={id}
          described={described}
          isWrong={isWrong}
        />
      );
    case "number": {
      const step = shape.whole ? 1 : "any";
      const isRange = typeof min === "number" && typeof max === "number";
      return (
        <div class="row number">
          <input
            type="number"
            {...common}
            {...typing}
            min={typed(min) || undefined}
            max={typed(max) || undefined}
            step={step}
            placeholder={list ? undefined : typed(input.default)}
          />
          {isRange && (
            <input
              type="range"
              {...typing}
              value={text || String(min)}
              min={min}
              max={max}
              step={shape.whole ? 1 : (max - min) / 100}
              aria-label={label ?? name}
            />
          )}
        </div>
      );
    }
    case "flag":
      return isSwitch(input) ? (
        <input
          type="checkbox"
          role="switch"
          {...common}
          required={false}
          checked={text === "true"}
          onChange={(event) => change(String(event.currentTarget.checked))}
        />
      ) : (
        <Select
          {...common}
          labels={["true", "false"]}
          text={text}
          hasNone={!list}
          onChoose={change}
        />
      );
    case "choice":
      return (
        <Select
          {...common}
          labels={(input.choices ?? []).map(typed)}
          text={text}
          hasNone={!required && !list && input.default === undefined}
          onChoose={change}
        />
      );
    case "json":
      return (
        <textarea {...common} {...typing} rows={list ? 2 : 3} class="code" spellcheck={false} />
      );
    case "text":
      // A browser's picker of times has no offset from UTC, so a plain line is used.
      if (shape.format === "date") return <input type="date" {...common} {...typing} />;
      return shape.format || (input.max_bytes ?? Infinity) <= 200 ? (
        <input
          type="text"
          {...common}
          {...typing}
          placeholder={shape.format && PLACEHOLDERS.get(shape.format)}
        />
      ) : (
        <textarea {...common} {...typing} rows={list ? 2 : 3} />
      );
  }
}

interface SelectProperties {
  id: string;
  labels: string[];
  text: string;
  hasNone: boolean;
  onChoose(label: string): void;
}

function Select({ labels, text, hasNone, onChoose, ...more }: SelectProperties) {
  return (
    <select {...more} value={text} onChange={(event) => onChoose(event.currentTarget.value)}>
      {hasNone && <option value="">{t("not_given")}</option>}
      {labels.map((label) => (
        <option key={label} value={label}>
          {label}
        </option>
      ))}
    </select>
  );
}
