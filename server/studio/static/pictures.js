// Pictures that somebody chose: those that the server takes, and why not the others.
import { bytes, count } from "./format.js";
import { texts } from "./texts.js";

const FIELDS_BYTES = 64 << 10; // of a form, beside its pictures
const BEGINNINGS = [
  [0x89, 0x50, 0x4e, 0x47], // PNG
  [0xff, 0xd8, 0xff], // JPEG
  [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50], // WebP; null: its length
];

/**
 * Look which files can be sent.
 *
 * @param files those that were chosen
 * @param earlier pictures that are sent as well
 * @param limits the server's: `max_images`, `max_image_bytes`, `max_image_pixels`, `max_body_bytes`
 * @returns `{taken, faults}`: the files that can be, and a sentence for each reason why others cannot
 */
export async function sift(files, earlier, limits) {
  const taken = [];
  const names = new Map(); // reason → names of files
  for (const file of files) {
    const why = excessOf(file, [...earlier, ...taken], limits) ?? (await faultOf(file, limits));
    if (why) names.set(why, [...(names.get(why) ?? []), file.name]);
    else taken.push(file);
  }
  return { taken, faults: [...names].map(([why, files]) => texts.pictures.fault(files.join(", "), why)) };
}

function excessOf(file, others, { max_images, max_body_bytes }) {
  if (others.length >= max_images) return texts.pictures.many(count(max_images));
  const most = max_body_bytes - FIELDS_BYTES;
  const sum = others.reduce((total, { size }) => total + size, file.size);
  return sum > most && file.size <= most ? texts.pictures.heavy(bytes(most)) : null;
}

async function faultOf(file, { max_image_bytes, max_image_pixels }) {
  const t = texts.pictures;
  if (file.size > max_image_bytes) return t.large(bytes(max_image_bytes));
  try {
    const first = new Uint8Array(await file.slice(0, 12).arrayBuffer());
    const isKnown = BEGINNINGS.some((one) => one.every((byte, i) => byte == null || byte === first[i]));
    if (!isKnown) return t.foreign;
    const image = await createImageBitmap(file);
    const pixels = image.width * image.height;
    image.close();
    return pixels > max_image_pixels ? t.fine(count(max_image_pixels)) : null;
  } catch {
    return t.broken;
  }
}
