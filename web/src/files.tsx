/** A file as an input: picked, dropped, pasted or recorded, and shown before it is sent. */

import { useRef, useState } from "preact/hooks";
import { Capture, type Device, devicesFor } from "./capture";
import { useUrl } from "./hooks";
import { size, t } from "./i18n";
import { type Input, isBlob } from "./model";
import { upright } from "./upright";
import { set, values } from "./values";

/** Photos that are being turned. */
const turning = new Set<Promise<void>>();

/** Takes a file for an input. A photo for a picture is turned upright, if it is still wanted then. */
export function take(input: Input, file: File) {
  set(input.name, file);
  if (input.shape.kind !== "blob" || !input.shape.media.startsWith("image/")) return;
  const turned = upright(file).then(
    (photo) => {
      if (photo !== file && values.peek().get(input.name) === file) set(input.name, photo);
    },
    () => undefined,
  );
  turning.add(turned);
  void turned.then(() => turning.delete(turned));
}

/** Waits until no photo is being turned any more. */
export const whenTurned = () => Promise.all(turning);

/** Takes files that were dropped or pasted somewhere on the page: each for the input that it fits. */
export function takeAnywhere(inputs: Input[], files: Iterable<File>) {
  const free = inputs.filter(isBlob);
  for (const file of files) {
    const fitting = free.filter((input) => fits(input, file));
    const input = fitting.find(({ name }) => !values.value.get(name)) ?? fitting[0];
    if (!input) continue;
    free.splice(free.indexOf(input), 1);
    take(input, file);
  }
}

function fits({ shape }: Input, file: File): boolean {
  if (shape.kind !== "blob") return false;
  const family = shape.media.split("/")[0];
  // Some systems know no type for some files.
  return (
    !file.type || family === "*" || family === "application" || file.type.startsWith(`${family}/`)
  );
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
  const takeFirst = (files: FileList | null | undefined) => {
    const first = files?.[0];
    if (first) take(input, first);
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
        takeFirst(event.dataTransfer?.files);
      }}
      onPaste={(event) => {
        if (hasFiles(event.clipboardData)) {
          event.preventDefault();
          event.stopPropagation();
          takeFirst(event.clipboardData?.files);
        }
      }}
    >
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
        accept={media}
        required={input.required}
        aria-describedby={[value && `${id}-file`, described].filter(Boolean).join(" ") || undefined}
        aria-invalid={isWrong || undefined}
        class={value ? "sr-only" : undefined}
        onChange={(event) => {
          takeFirst(event.currentTarget.files);
          // What was chosen is shown above; the same file can be chosen again.
          event.currentTarget.value = "";
        }}
      />
      <div class="row">
        {value ? (
          <>
            <label for={id} class="button">
              {t("other_file")}
            </label>
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
          </>
        ) : (
          <small>{t("drop_or_paste")}</small>
        )}
        {devicesFor(media).map((one) => (
          <button type="button" class="quiet" key={one} onClick={() => setDevice(one)}>
            {t(DEVICES[one])}
          </button>
        ))}
      </div>
      {device && (
        <Capture
          device={device}
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

/** Whether files are dragged or on the clipboard, and not just text. */
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
