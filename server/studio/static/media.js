// Files of the API as blobs: the browser cannot send a key for the source of a picture or a video.
import { blob } from "./api.js";
import { useEffect, useState } from "./view.js";

const AT_ONCE = 3; // of six connections a host; one has the events
const MOST = 300;

const kept = new Map(); // address → promise of an object URL; the least recently used first
const waiting = [];
let running = 0;

/** Return a promise of an object URL for a file of the API. */
export function objectUrl(path, query = {}) {
  const name = JSON.stringify([path, query]);
  const found = kept.get(name) ?? queued(() => blob(path, query)).then(URL.createObjectURL);
  kept.delete(name);
  kept.set(name, found);
  found.catch(() => kept.delete(name));
  if (kept.size > MOST) {
    const [oldest, url] = kept.entries().next().value;
    kept.delete(oldest);
    url.then(URL.revokeObjectURL, () => {});
  }
  return found;
}

/** Forget all files, because another key is used from now on. */
export function dropFiles() {
  for (const url of kept.values()) url.then(URL.revokeObjectURL, () => {});
  kept.clear();
}

/** Return the object URL of a file once it is there, else null; as a hook. A null path is none. */
export function useFile(path, query) {
  const [url, setUrl] = useState(null);
  useEffect(() => {
    let wanted = true;
    setUrl(null);
    if (path) {
      objectUrl(path, query).then(
        (found) => wanted && setUrl(found),
        () => {},
      );
    }
    return () => (wanted = false);
  }, [path, JSON.stringify(query)]);
  return url;
}

/** Save a blob as a file of the user's. */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function queued(work) {
  return new Promise((resolve, reject) => {
    waiting.push(() => work().then(resolve, reject));
    next();
  });
}

function next() {
  if (running >= AT_ONCE || !waiting.length) return;
  running += 1;
  waiting.shift()().finally(() => {
    running -= 1;
    next();
  });
}
