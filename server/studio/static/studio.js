// What all views share: the server's abilities, its encoders and aliases, and the key.
import { all, get, isSendable, key, request, whenAway, whenRefused } from "./api.js";
import { dropFiles } from "./media.js";
import { emptyKeyStores, Store } from "./store.js";
import { drop, dropAll, follow, isPending, jobs } from "./stream.js";
import { texts } from "./texts.js";

const RETRY_MS = 1000;
const LOOK_MS = 2000; // between two readings of all lists
const PULSE_MS = 10_000;

const EMPTY = {
  refusal: null,
  abilities: null,
  models: [],
  encoders: [],
  aliases: [],
  looked: 0, // counts the times that what is shown was to be read anew
  handed: null, // what one view hands to the next: values for its form
};

/** `state` is "starting", "key" (one is needed), "ready" or "away". */
export const studio = new Store({ ...EMPTY, state: "starting" });

let retry = 0;
/** Load what the views need; try again for as long as the server is starting or away. */
export async function load() {
  clearTimeout(retry);
  try {
    const abilities = await get("v1/capabilities");
    await refresh();
    studio.set({ state: "ready", refusal: null, abilities, looked: studio.state.looked + 1 });
  } catch (error) {
    if (error.status === 401 || error.name === "AbortError") return;
    studio.set({ state: error.passes ? "away" : "refused", refusal: error });
    retry = setTimeout(load, RETRY_MS);
  }
}

let newest = null; // promise of the reading that began last, which is the one that counts
/** Read the lists of encoders, models and aliases again. */
export function refresh() {
  const own = (newest = readLists().then((take) => (own === newest ? take() : newest)));
  return own;
}

async function readLists() {
  const known = Object.values(jobs.state.byId);
  const [models, encoders, aliases] = await Promise.all([
    get("v1/models"),
    all("v1/encoders"),
    get("v1/aliases"),
  ]);
  const isGone = (job) =>
    job.object === "encoder" && !isPending(job) && !encoders.some(({ id }) => id === job.id);
  return () => {
    studio.set({ models: models.data, encoders, aliases: aliases.data });
    drop(...known.filter(isGone).map(({ id }) => id));
    follow(...encoders.filter((one) => one.status !== "published" || one.phase === "judging"));
  };
}

let lookedAt = 0;
let looks = 0;
/** Have all lists read anew, soon: others may have changed them. */
export function look() {
  clearTimeout(looks);
  looks = setTimeout(() => {
    if (studio.state.state !== "ready") return; // `load` reads them once the server is back
    lookedAt = Date.now();
    studio.set({ looked: studio.state.looked + 1 });
    refresh().catch(() => {});
  }, lookedAt + LOOK_MS - Date.now());
}

addEventListener("focus", look);
document.addEventListener("visibilitychange", () => document.hidden || look());

whenAway((refusal) => {
  if (studio.state.state !== "ready") return;
  studio.set({ state: "away", refusal });
  load();
});

// A view that asks for nothing would not notice that the server is away.
setInterval(() => {
  if (!document.hidden && studio.state.state === "ready") request("GET", "livez").catch(() => {});
}, PULSE_MS);

whenRefused((refusal) => leave("key", key.get() ? refusal : null));

/** Leave all that a key brought, and was used for: nothing of it is shown to another. */
function leave(state, refusal = null) {
  studio.set({ ...EMPTY, state, refusal });
  emptyKeyStores();
  dropAll();
  dropFiles();
}

/** Use another key from now on; an empty one is none. */
export function useKey(secret) {
  key.forget();
  if (!isSendable(secret)) return leave("key", { message: texts.key.unknown });
  if (secret) key.set(secret);
  leave("starting");
  return load();
}

/** Hand values to the form of another view, and go there. */
export function hand(view, values) {
  studio.set({ handed: { view, values } });
  location.hash = `#/${view}`;
}

/** Go to a view in place of this one, to which the browser's Back shall not lead. */
export function replaceView(view) {
  const url = new URL(location.href);
  url.hash = `#/${view}`;
  location.replace(url);
}

/** Take what was handed to a view; null if nothing was. */
export function taken(view) {
  const { handed } = studio.state;
  if (handed?.view !== view) return null;
  studio.set({ handed: null });
  return handed.values;
}

// An encoder that was published, failed or deleted just now changes the lists.
let pending = new Set();
jobs.subscribe(({ byId, connected }) => {
  const now = new Set(
    Object.values(byId)
      .filter((job) => job.object === "encoder" && ["queued", "in_progress"].includes(job.status))
      .map((job) => job.id),
  );
  const ended = [...pending].some((id) => !now.has(id));
  pending = now;
  if (ended && connected && studio.state.state === "ready") refresh().catch(() => {});
});
