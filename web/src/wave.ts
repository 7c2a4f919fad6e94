/** Writes sounds as WAV with 16 bits a sample: many models need it, but browsers do not record it. */

export const WAVE = "audio/wav";

/** The length of the header: RIFF, and in it the chunks `fmt ` and `data`. */
const HEADER = 44;

/** Decodes a sound that the browser has recorded, and writes it as WAV. */
export async function wave(recorded: Blob): Promise<Blob> {
  const context = new AudioContext();
  try {
    return written(await context.decodeAudioData(await recorded.arrayBuffer()));
  } finally {
    void context.close();
  }
}

function written(sound: AudioBuffer): Blob {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) =>
    sound.getChannelData(channel),
  );
  const frame = 2 * channels.length;
  const length = frame * sound.length;
  const view = new DataView(new ArrayBuffer(HEADER + length));
  const mark = (at: number, word: string) =>
    [...word].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  mark(0, "RIFF");
  view.setUint32(4, HEADER - 8 + length, true);
  mark(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, sound.sampleRate, true);
  view.setUint32(28, sound.sampleRate * frame, true);
  view.setUint16(32, frame, true);
  view.setUint16(34, 16, true);
  mark(36, "data");
  view.setUint32(40, length, true);
  channels.forEach((samples, channel) =>
    samples.forEach((sample, at) => {
      const level = Math.max(-1, Math.min(1, sample));
      view.setInt16(HEADER + at * frame + channel * 2, Math.round(level * 0x7fff), true);
    }),
  );
  return new Blob([view], { type: WAVE });
}
