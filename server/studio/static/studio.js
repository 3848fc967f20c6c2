// What all views share: the server's abilities, its encoders and aliases, and the key.
import { all, get, isSendable, key, whenRefused } from "./api.js";
import { dropFiles } from "./media.js";
import { emptyKeyStores, Store } from "./store.js";
import { dropAll, follow, jobs } from "./stream.js";
import { texts } from "./texts.js";

const RETRY_MS = 1000;

const EMPTY = {
  refusal: null,
  abilities: null,
  models: [],
  encoders: [],
  aliases: [],
  handed: null, // what one view hands to the next: values for its form
};

/** `state` is "starting", "key" (one is needed), "ready" or "away". */
export const studio = new Store({ ...EMPTY, state: "starting" });

/** Load what the views need; try again for as long as the server is starting or away. */
export async function load() {
  try {
    const abilities = await get("v1/capabilities");
    await refresh();
    studio.set({ state: "ready", refusal: null, abilities });
  } catch (error) {
    if (error.status === 401 || error.name === "AbortError") return;
    studio.set({ state: error.passes ? "away" : "refused", refusal: error });
    setTimeout(load, RETRY_MS);
  }
}

/** Read the lists of encoders, models and aliases again. */
export async function refresh() {
  const [models, encoders, aliases] = await Promise.all([
    get("v1/models"),
    all("v1/encoders"),
    get("v1/aliases"),
  ]);
  studio.set({ models: models.data, encoders, aliases: aliases.data });
  follow(...encoders.filter((one) => one.status !== "published" || one.phase === "judging"));
}

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
