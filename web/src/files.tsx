/** A file as an input: picked, dropped, pasted or recorded, and shown before it is sent. */

import { useState } from "preact/hooks";
import { Capture, type Device, devicesFor } from "./capture";
import { useUrl } from "./hooks";
import { size, t } from "./i18n";
import { type Input, isBlob } from "./model";
import { upright } from "./upright";
import { set, values } from "./values";

/** Takes a file for an input; a photo is turned upright. */
export async function take(input: Input, file: File) {
  set(input.name, await upright(file).catch(() => file));
}

/** Takes files that were dropped or pasted somewhere on the page: each for the input that it fits. */
export function takeAnywhere(inputs: Input[], files: Iterable<File>) {
  const free = inputs.filter(isBlob);
  for (const file of files) {
    const fitting = free.filter((input) => fits(input, file));
    const input = fitting.find(({ name }) => !values.value.get(name)) ?? fitting[0];
    if (!input) continue;
    free.splice(free.indexOf(input), 1);
    void take(input, file);
  }
}

function fits({ shape }: Input, file: File): boolean {
  if (shape.kind !== "blob") return false;
  const family = shape.media.split("/")[0];
  return family === "*" || family === "application" || file.type.startsWith(`${family}/`);
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
  const value = values.value.get(input.name);
  const file = value instanceof File ? value : null;
  const takeFirst = (files: FileList | null | undefined) => {
    const first = files?.[0];
    if (first) void take(input, first);
  };
  return (
    <div
      class={isOver ? "picker over" : "picker"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        event.stopPropagation();
        setOver(false);
        takeFirst(event.dataTransfer?.files);
      }}
      onPaste={(event) => {
        if (event.clipboardData?.files.length) {
          event.preventDefault();
          event.stopPropagation();
          takeFirst(event.clipboardData.files);
        }
      }}
    >
      {file && <Preview file={file} />}
      <input
        // A picker cannot be told its file; a new one is empty.
        key={file ? "chosen" : "empty"}
        type="file"
        id={id}
        accept={media}
        required={input.required}
        aria-describedby={described}
        aria-invalid={isWrong || undefined}
        class={file ? "sr-only" : undefined}
        onChange={(event) => takeFirst(event.currentTarget.files)}
      />
      <div class="row">
        {file ? (
          <>
            <label for={id} class="button">
              {t("other_file")}
            </label>
            <button type="button" class="quiet" onClick={() => set(input.name, null)}>
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
          onFile={(made) => void take(input, made)}
          onClose={() => setDevice(null)}
        />
      )}
    </div>
  );
}

function Preview({ file }: { file: File }) {
  const url = useUrl(file);
  const family = file.type.split("/")[0];
  return (
    <figure>
      {family === "image" && <img src={url} alt={t("preview", file.name)} />}
      {family === "audio" && <audio src={url} controls aria-label={t("preview", file.name)} />}
      {family === "video" && <video src={url} controls aria-label={t("preview", file.name)} />}
      <figcaption>
        <bdi>{file.name}</bdi> · {size(file.size)}
      </figcaption>
    </figure>
  );
}
