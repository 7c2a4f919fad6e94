/** A picture from the camera, a video, or a sound from the microphone, as a file. */

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "./i18n";

export type Device = "photo" | "video" | "audio";

/** What can be recorded for an input of this media range. */
export function devicesFor(media: string): Device[] {
  if (!navigator.mediaDevices?.getUserMedia) return [];
  const family = media.split("/")[0];
  if (family === "image") return ["photo"];
  if (family === "video") return ["video"];
  return family === "audio" ? ["audio"] : [];
}

interface Properties {
  device: Device;
  onFile(file: File): void;
  onClose(): void;
}

export function Capture({ device, onFile, onClose }: Properties) {
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
      // What is closed while it is recorded is not wanted.
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
    canvas.toBlob((blob) => blob && done(blob, "camera.jpg"), "image/jpeg", 0.95);
  };

  const record = () => {
    if (!stream) return;
    const pieces: Blob[] = [];
    const machine = new MediaRecorder(stream);
    machine.ondataavailable = ({ data }) => pieces.push(data);
    machine.onstop = () => {
      const type = machine.mimeType;
      done(new Blob(pieces, { type }), `recording.${type.includes("mp4") ? "mp4" : "webm"}`);
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
