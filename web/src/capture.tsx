/** Records a picture, a video or a sound with the camera or the microphone, as a file. */

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "./i18n";
import { type Input, isListed } from "./model";
import { extension } from "./values";
import { WAVE, wave } from "./wave";

export type Device = "photo" | "video" | "audio";

/** The media types that a device makes, the usual one first. WAV is converted from another type. */
const MADE: { [device in Device]: string[] } = {
  photo: ["image/jpeg", "image/png", "image/webp"],
  video: ["video/webm", "video/mp4"],
  audio: ["audio/webm", "audio/mp4", "audio/ogg", WAVE],
};

/** The devices that record for an input of this media range, in a format that it takes. */
export function devicesFor(input: Input, media: string): Device[] {
  if (!navigator.mediaDevices?.getUserMedia) return [];
  const family = media.split("/")[0];
  const device = ({ image: "photo", video: "video", audio: "audio" } as const)[family ?? ""];
  const takesAny = !input.accept && !input.recording;
  return device && (takesAny || typeFor(input, device)) ? [device] : [];
}

/** The media type in which a device records for an input that does not take any. */
function typeFor(input: Input, device: Device): string | undefined {
  if (!input.accept && !input.recording) return undefined;
  const types = input.recording ? [input.recording] : MADE[device];
  return types.find((type) => isListed(input, type) && canMake(type));
}

function canMake(type: string): boolean {
  // A browser that does not support a picture format writes another one.
  if (type === "image/webp") return document.createElement("canvas").toDataURL(type).includes(type);
  return type.startsWith("image/") || type === WAVE || MediaRecorder.isTypeSupported(type);
}

interface Properties {
  device: Device;
  input: Input;
  onFile(file: File): void;
  onClose(): void;
}

export function Capture({ device, input, onFile, onClose }: Properties) {
  const type = typeFor(input, device);
  const screen = useRef<HTMLVideoElement>(null);
  const recorder = useRef<MediaRecorder | null>(null);
  const [stream, setStream] = useState<MediaStream | null>(null);
  const [isRecording, setRecording] = useState(false);
  const [trouble, setTrouble] = useState("");

  useEffect(() => {
    let tracks: MediaStreamTrack[] = [];
    let isOver = false;
    navigator.mediaDevices
      .getUserMedia({ video: device !== "audio", audio: device !== "photo" })
      .then(
        (opened) => {
          tracks = opened.getTracks();
          if (isOver) tracks.forEach((track) => track.stop());
          else setStream(opened);
        },
        (error: Error) => setTrouble(error.message || error.name),
      );
    return () => {
      isOver = true;
      // A recording that the user closes is discarded.
      if (recorder.current) recorder.current.onstop = null;
      tracks.forEach((track) => track.stop());
    };
  }, [device]);

  useEffect(() => {
    if (screen.current) screen.current.srcObject = stream;
  }, [stream]);

  const done = (blob: Blob, name: string) => {
    onFile(new File([blob], name, { type: blob.type.split(";")[0] }));
    onClose();
  };

  const shoot = () => {
    const video = screen.current;
    if (!video?.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    const made = type ?? "image/jpeg";
    canvas.toBlob((blob) => blob && done(blob, `camera.${extension(made)}`), made, 0.95);
  };

  const record = () => {
    if (!stream) return;
    const chunks: Blob[] = [];
    const machine = new MediaRecorder(stream, type && type !== WAVE ? { mimeType: type } : {});
    machine.ondataavailable = ({ data }) => chunks.push(data);
    machine.onstop = () => {
      const recorded = new Blob(chunks, { type: machine.mimeType });
      const written = type === WAVE ? wave(recorded) : Promise.resolve(recorded);
      written.then(
        (made) => done(made, `recording.${extension(made.type)}`),
        (error: Error) => setTrouble(error.message || error.name),
      );
    };
    machine.start();
    recorder.current = machine;
    setRecording(true);
  };

  return (
    <div class="capture">
      {trouble && <p role="alert">{t("no_device", trouble)}</p>}
      {device !== "audio" && (
        <video ref={screen} autoplay muted playsInline aria-label={t("camera")} />
      )}
      <div class="row">
        {device === "photo" ? (
          <button type="button" disabled={!stream} onClick={shoot}>
            {t("take_picture")}
          </button>
        ) : isRecording ? (
          <button type="button" onClick={() => recorder.current?.stop()}>
            {t("stop_recording")}
          </button>
        ) : (
          <button type="button" disabled={!stream} onClick={record}>
            {t("record")}
          </button>
        )}
        <button type="button" class="quiet" onClick={onClose}>
          {t("close")}
        </button>
      </div>
    </div>
  );
}
