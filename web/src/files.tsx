/** The widget of a file input: picks, takes from a drop or paste, or records a file, and previews it. */

import { useRef, useState } from "preact/hooks";
import { Capture, type Device, devicesFor } from "./capture";
import { useUrl } from "./hooks";
import { size, t } from "./i18n";
import { type Input, isBlob, isListed } from "./model";
import { upright } from "./upright";
import { itemErrors, itemsOf, refusals, set, setItem, values } from "./values";

/** Photos that are being turned upright. */
const turning = new Set<Promise<void>>();

/**
 * Takes a file for an input, unless the input lists other formats. A photo for a picture is turned
 * upright, if it is still wanted then.
 */
export function take(input: Input, file: File) {
  if (!isTaken(input, file)) {
    const words = t("other_formats", file.name, (input.formats ?? []).join(", "));
    refusals.value = new Map(refusals.value).set(input.name, words);
    return;
  }
  if (input.list) setItem(input, itemsOf(values.peek().get(input.name)).length, file);
  else set(input.name, file);
  if (input.shape.kind !== "blob" || !input.shape.media.startsWith("image/")) return;
  const turned = upright(file).then(
    (photo) => {
      if (photo === file) return;
      const place = itemsOf(values.peek().get(input.name)).indexOf(file);
      if (place >= 0) setItem(input, place, photo);
      else if (values.peek().get(input.name) === file) set(input.name, photo);
    },
    () => undefined,
  );
  turning.add(turned);
  void turned.then(() => turning.delete(turned));
}

/** Waits until all photos are turned upright. */
export const whenTurned = () => Promise.all(turning);

/** Takes files that were dropped or pasted somewhere on the page: each for the input that it fits. */
export function takeAnywhere(inputs: Input[], files: Iterable<File>) {
  const free = inputs.filter(isBlob);
  for (const file of files) {
    const fitting = free.filter((input) => fits(input, file));
    const isFree = (input: Input) =>
      input.list ? roomOf(input) > 0 : !values.value.get(input.name);
    const taking = fitting.filter((input) => isTaken(input, file));
    const lone = taking.find(({ list }) => !list);
    const input = taking.find(isFree) ?? lone ?? (taking.length === 0 ? fitting[0] : undefined);
    if (!input) continue;
    if (!input.list) free.splice(free.indexOf(input), 1);
    take(input, file);
  }
}

/** The number of files that a list may still take. */
const roomOf = ({ name, max_items = Infinity }: Input) =>
  max_items - itemsOf(values.peek().get(name)).length;

function fits({ shape }: Input, file: File): boolean {
  if (shape.kind !== "blob") return false;
  const family = shape.media.split("/")[0];
  // Some systems have no media type for some files.
  return (
    !file.type || family === "*" || family === "application" || file.type.startsWith(`${family}/`)
  );
}

/** Returns true if an input takes a file by its type and name; without a type only the server can tell. */
function isTaken(input: Input, { type, name }: File): boolean {
  return !type || type === "application/octet-stream" || isListed(input, type, name);
}

const DEVICES = { photo: "camera", video: "camera", audio: "microphone" } as const;

interface Properties {
  input: Input;
  media: string;
  id: string;
  described: string | undefined;
  isWrong: boolean;
}

export function FilePicker({ input, media, id, described, isWrong }: Properties) {
  const [isOver, setOver] = useState(false);
  const [device, setDevice] = useState<Device | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const value = values.value.get(input.name);
  const hasSome = input.list ? itemsOf(value).length > 0 : !!value;
  const isFull = input.list && roomOf(input) <= 0;
  const takeThem = (files: FileList | null | undefined) => {
    const room = input.list ? Math.max(roomOf(input), 0) : 1;
    for (const file of [...(files ?? [])].slice(0, room)) take(input, file);
  };
  const back = () => picker.current?.focus();
  return (
    <div
      class={isOver ? "picker over" : "picker"}
      onDragOver={(event) => {
        if (!hasFiles(event.dataTransfer)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false);
        if (!hasFiles(event.dataTransfer)) return;
        event.preventDefault();
        event.stopPropagation();
        takeThem(event.dataTransfer?.files);
      }}
      onPaste={(event) => {
        if (hasFiles(event.clipboardData)) {
          event.preventDefault();
          event.stopPropagation();
          takeThem(event.clipboardData?.files);
        }
      }}
    >
      {input.list && hasSome && <Files input={input} id={id} onRemove={back} />}
      {value instanceof File && <Preview file={value} id={`${id}-file`} />}
      {typeof value === "string" && value && (
        <p id={`${id}-file`} class="note">
          <bdi>{value}</bdi>
        </p>
      )}
      <input
        ref={picker}
        type="file"
        id={id}
        accept={input.accept ?? media}
        multiple={input.list}
        disabled={isFull}
        required={input.required}
        aria-describedby={
          [hasSome && `${id}-file`, described].filter(Boolean).join(" ") || undefined
        }
        aria-invalid={isWrong || itemErrors(input).size > 0 || undefined}
        class={hasSome ? "sr-only" : undefined}
        onChange={(event) => {
          takeThem(event.currentTarget.files);
          // The chosen file is shown above. After the reset, the same file can be chosen again.
          event.currentTarget.value = "";
        }}
      />
      <div class="row">
        {hasSome && !isFull && (
          <label for={id} class="button">
            {t(input.list ? "more_files" : "other_file")}
          </label>
        )}
        {hasSome && !input.list && (
          <button
            type="button"
            class="quiet"
            onClick={() => {
              set(input.name, null);
              back();
            }}
          >
            {t("remove_file", input.name)}
          </button>
        )}
        {!hasSome && <small>{t(input.list ? "drop_or_paste_files" : "drop_or_paste")}</small>}
        {(isFull ? [] : devicesFor(input, media)).map((one) => (
          <button type="button" class="quiet" key={one} onClick={() => setDevice(one)}>
            {t(DEVICES[one])}
          </button>
        ))}
      </div>
      {device && (
        <Capture
          device={device}
          input={input}
          onFile={(made) => take(input, made)}
          onClose={() => {
            setDevice(null);
            back();
          }}
        />
      )}
    </div>
  );
}

/** The files of a list, in the order in which they are sent. */
function Files({ input, id, onRemove }: { input: Input; id: string; onRemove: () => void }) {
  const items = itemsOf(values.value.get(input.name));
  const wrong = itemErrors(input);
  return (
    <ol class="files" id={`${id}-file`}>
      {items.map((item, index) => {
        const name = item instanceof File ? item.name : String(item);
        const error = wrong.get(index);
        return (
          <li key={index}>
            {item instanceof File ? (
              <Preview file={item} id={`${id}-file-${index}`} />
            ) : (
              <p class="note">
                <bdi>{name}</bdi>
              </p>
            )}
            <button
              type="button"
              class="quiet"
              aria-label={t("remove_item", name, index + 1)}
              onClick={() => {
                setItem(input, index, undefined);
                onRemove();
              }}
            >
              ×
            </button>
            {error && (
              <small class="error" dir="auto">
                {error}
              </small>
            )}
          </li>
        );
      })}
    </ol>
  );
}

/** Returns true if files are dragged or on the clipboard, and not just text. */
export const hasFiles = (data: DataTransfer | null) => data?.types.includes("Files") ?? false;

function Preview({ file, id }: { file: File; id: string }) {
  const url = useUrl(file);
  const family = file.type.split("/")[0];
  return (
    <figure>
      {family === "image" && <img src={url} alt={t("preview", file.name)} />}
      {family === "audio" && <audio src={url} controls aria-label={t("preview", file.name)} />}
      {family === "video" && <video src={url} controls aria-label={t("preview", file.name)} />}
      <figcaption id={id}>
        <bdi>{file.name}</bdi> · {size(file.size)}
      </figcaption>
    </figure>
  );
}
