/**
 * Turns photos upright. A phone stores the pixels as its sensor saw them, and the rotation as Exif
 * tag 0x0112. Browsers apply that tag, but many models do not, and would see another picture.
 */

/** The maximum number of bytes before the tag in a file. */
const HEAD = 256 * 1024;

/** Returns the photo turned upright, or the same file if it already is. */
export async function upright(file: File): Promise<File> {
  if (file.type && file.type !== "image/jpeg") return file;
  if (orientation(await file.slice(0, HEAD).arrayBuffer()) <= 1) return file;
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  picture.close();
  const turned = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.95));
  return turned ? new File([turned], file.name, { type: "image/jpeg" }) : file;
}

/** The orientation that a JPEG file names, from 1 to 8; 1 if it names none. */
export function orientation(buffer: ArrayBuffer): number {
  const view = new DataView(buffer);
  try {
    if (view.getUint16(0) !== 0xffd8) return 1;
    let at = 2;
    for (;;) {
      const marker = view.getUint16(at);
      if (marker === 0xffe1 && view.getUint32(at + 4) === 0x45786966) {
        return tagged(new DataView(buffer, at + 10));
      }
      // The pixels begin here, or the file is damaged.
      if (marker === 0xffda || marker >> 8 !== 0xff) return 1;
      at += 2 + view.getUint16(at + 2);
    }
  } catch {
    return 1;
  }
}

function tagged(tiff: DataView): number {
  const little = tiff.getUint16(0) === 0x4949;
  const directory = tiff.getUint32(4, little);
  for (let entry = 0; entry < tiff.getUint16(directory, little); entry += 1) {
    const at = directory + 2 + entry * 12;
    if (tiff.getUint16(at, little) === 0x0112) return tiff.getUint16(at + 8, little);
  }
  return 1;
}
