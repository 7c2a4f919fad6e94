/** The form: a widget for each input of the schema, by its shape. */

import { useEffect, useRef } from "preact/hooks";
import { hasFiles, takeAnywhere, whenTurned } from "./files";
import { keep } from "./history";
import { size, t } from "./i18n";
import type { Json } from "./json";
import { type Input, type Model, typed } from "./model";
import { cancel, isBusy, problem, run } from "./run";
import {
  bodyOf,
  errors,
  extras,
  fill,
  initial,
  refusals,
  sent,
  set,
  valueOf,
  values,
} from "./values";
import { isSwitch, Rows, Widget } from "./widgets";

export function Form({ model }: { model: Model }) {
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const data = event.clipboardData;
      // Office programs also put a picture of the text on the clipboard.
      const isText =
        (event.target as Element).matches("input, textarea") && data?.types.includes("text/plain");
      if (data && hasFiles(data) && !isText) takeAnywhere(model.inputs, data.files);
    };
    const drop = (event: DragEvent) => {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      if (event.type === "drop" && event.dataTransfer)
        takeAnywhere(model.inputs, event.dataTransfer.files);
    };
    document.addEventListener("paste", paste);
    document.addEventListener("dragover", drop);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("paste", paste);
      document.removeEventListener("dragover", drop);
      document.removeEventListener("drop", drop);
    };
  }, [model]);

  const submit = async () => {
    await whenTurned();
    sent.value = { values: values.value, extras: extras.value };
    const running = run(bodyOf(model.inputs));
    revealResult();
    await running;
    await keep(model);
    // Moves the focus to the first error, which may be out of sight.
    form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  };

  return (
    <form
      ref={form}
      noValidate
      aria-label={t("inputs")}
      onSubmit={(event) => {
        event.preventDefault();
        // Only the browser knows that the typed text is not a number.
        const typed = [...event.currentTarget.querySelectorAll("input")];
        const unreadable = typed.find(({ validity }) => validity.badInput);
        if (unreadable) unreadable.reportValidity();
        else if (!isBusy.value) void submit();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
          form.current?.requestSubmit();
      }}
    >
      <Examples model={model} />
      {model.inputs.map((input, index) => (
        <Field key={input.name} input={input} id={`input-${index}`} />
      ))}
      <Extras />
      <div class="row">
        {isBusy.value ? (
          <button
            type="button"
            class="stop"
            onClick={(event) => {
              // This button may turn into the submit button before the click ends.
              event.preventDefault();
              // Ignores the second click of a double click.
              if (event.detail < 2) cancel();
            }}
          >
            {t("cancel")}
          </button>
        ) : (
          <button type="submit">{t("run")}</button>
        )}
        <button
          type="button"
          class="quiet"
          onClick={() => {
            problem.value = null;
            values.value = initial(model.inputs);
            refusals.value = new Map();
            extras.value = [];
            form.current?.reset();
          }}
        >
          {t("reset")}
        </button>
      </div>
    </form>
  );
}

/** Scrolls to the result if it is out of sight, as below the form on a narrow screen. */
function revealResult() {
  const heading = document.getElementById("result");
  const top = heading?.getBoundingClientRect().top ?? 0;
  if (top < 0 || top > innerHeight - 100) heading?.scrollIntoView();
}

function Examples({ model }: { model: Model }) {
  const examples = model.model.examples ?? [];
  if (examples.length === 0) return null;
  return (
    <fieldset class="examples">
      <legend>{t("examples")}</legend>
      {examples.map((example, index) => (
        <button type="button" class="chip" key={index} onClick={() => fill(model, example)}>
          {summary(example) || t("example", index + 1)}
        </button>
      ))}
    </fieldset>
  );
}

/** Describes an example in short, by its texts. */
function summary(example: { [name: string]: Json }): string {
  const texts = Object.values(example).flatMap(inShort);
  return shortened(
    texts.filter((text) => text.length < 1000 && !text.startsWith("data:")).join(", "),
  );
}

/** Returns the texts of a list of plain values; any other value is one text. */
const inShort = (value: Json): string[] =>
  Array.isArray(value) && value.every((item) => typeof item !== "object")
    ? value.map(typed)
    : [typed(value)];

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function Field({ input, id }: { input: Input; id: string }) {
  const error = errors.value.get(input.name);
  const notes = [input.description, limits(input)].filter(Boolean);
  const described = [notes.length && `${id}-note`, error && `${id}-error`]
    .filter(Boolean)
    .join(" ");
  const isFlag = isSwitch(input);
  const value = values.value.get(input.name);
  const widget =
    input.list && input.shape.kind !== "blob" ? (
      <Rows input={input} id={id} described={described || undefined} isWrong={!!error} />
    ) : (
      <Widget
        input={input}
        id={id}
        described={described || undefined}
        isWrong={!!error}
        text={typeof value === "string" ? value : ""}
        change={(text) => set(input.name, text)}
      />
    );
  return (
    <div class="field">
      <label for={id}>
        <bdi>{input.name}</bdi>
        {input.required ? (
          <span class="mark" aria-hidden="true">
            {" *"}
          </span>
        ) : (
          <small> ({t("optional")})</small>
        )}
        {isFlag && widget}
      </label>
      {notes.length > 0 && (
        <small id={`${id}-note`} class="note" dir="auto">
          {notes.join(" · ")}
        </small>
      )}
      {!isFlag && widget}
      {error && (
        <small id={`${id}-error`} class="error" dir="auto">
          {error}
        </small>
      )}
      {(input.examples ?? []).length > 0 && input.shape.kind !== "blob" && (
        <div class="row">
          {input.examples?.map((example) => (
            <button
              type="button"
              class="chip"
              onClick={() => set(input.name, valueOf(input, example))}
            >
              {shortened(input.list ? inShort(example).join(", ") : typed(example))}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function limits({ min, max, max_bytes, formats, min_items, max_items }: Input): string {
  const words = [range(min, max)];
  const items = range(min_items, max_items);
  if (items) words.push(t("items", items));
  if (max_bytes !== undefined) words.push(t("at_most", size(max_bytes)));
  if (formats) words.push(formats.join(", "));
  return words.filter(Boolean).join(" · ");
}

type Bound = number | bigint | undefined;

function range(min: Bound, max: Bound): string {
  if (min !== undefined && max !== undefined) return t("from_to", min, max);
  if (min !== undefined) return t("at_least", min);
  return max === undefined ? "" : t("at_most", max);
}

/** Options that the schema does not mention, which are passed on to the model. */
function Extras() {
  const change = (index: number, part: { name?: string; value?: string }) => {
    extras.value = extras.value.map((extra, at) => (at === index ? { ...extra, ...part } : extra));
  };
  return (
    <details open={extras.value.length > 0}>
      <summary>{t("more_options")}</summary>
      {extras.value.map(({ name, value }, index) => (
        <div class="row" key={index}>
          <input
            type="text"
            value={name}
            aria-label={t("option_name")}
            placeholder={t("option_name")}
            onInput={(event) => change(index, { name: event.currentTarget.value })}
          />
          <input
            type="text"
            value={value}
            aria-label={t("option_value", name)}
            placeholder={t("option_value", name)}
            onInput={(event) => change(index, { value: event.currentTarget.value })}
          />
          <button
            type="button"
            class="quiet"
            aria-label={t("remove_option", name)}
            onClick={() => {
              extras.value = extras.value.filter((_, at) => at !== index);
            }}
          >
            ×
          </button>
        </div>
      ))}
      <button
        type="button"
        class="quiet"
        onClick={() => {
          extras.value = [...extras.value, { name: "", value: "" }];
        }}
      >
        {t("add_option")}
      </button>
    </details>
  );
}
