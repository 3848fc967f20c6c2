// Switching: what aliases stand for, and the sets that are being judged for policies.
import { api, get, put, remove } from "./api.js";
import { keep } from "./kept.js";
import { keyStore } from "./store.js";
import { jobs } from "./stream.js";
import { refresh, studio } from "./studio.js";
import { texts } from "./texts.js";

/** Policy → the set that is judged for it, and what it stood for then; what became of the last. */
export const switching = keyStore({ waiting: {}, said: [] });

keep(switching, "palimpsest.switching", ({ waiting }) => ({ waiting }));

/** Point an alias to an encoder at once, whatever set it waits for. */
export async function point(name, encoder) {
  await put(api`v1/aliases/${name}`, { encoder });
  forget(name);
}

/** Delete an alias, whatever set it waits for. */
export async function deleteAlias(name) {
  await remove(api`v1/aliases/${name}`);
  forget(name);
}

/** Point an alias to a set once that has passed, unless something else is decided before. */
export function pointLater(name, id, from) {
  switching.set({ waiting: { ...switching.state.waiting, [name]: { id, from } } });
}

function forget(name) {
  const { [name]: _, ...waiting } = switching.state.waiting;
  switching.set({ waiting });
}

export const say = (kind, text) =>
  switching.set({ said: [...switching.state.said.filter((one) => one.text !== text), { kind, text }] });

// A policy is switched once its set has passed, whichever view is shown.
jobs.subscribe(settle);
studio.subscribe(settle);

function settle() {
  if (studio.state.state !== "ready") return;
  for (const [name, asked] of Object.entries(switching.state.waiting)) {
    const is = ({ id }) => id === asked.id;
    const set = jobs.state.byId[asked.id] ?? studio.state.encoders.find(is);
    if (set && !["published", "failed"].includes(set.status)) continue;
    forget(name);
    end(name, asked, set?.status === "published");
  }
}

async function end(name, { id, from }, hasPassed) {
  const t = texts.policies;
  if (!hasPassed) return say("bad", t.failed(name));
  try {
    const now = await targetOf(name);
    if (now !== from) return say("bad", t.overtaken(name, now));
    await put(api`v1/aliases/${name}`, { encoder: id });
    say("calm", t.switched(name, id));
    await refresh();
  } catch (error) {
    if (error.name !== "AbortError") say("bad", error.message);
  }
}

/** Return what an alias stands for now; null if there is none. */
async function targetOf(name) {
  try {
    return (await get(api`v1/aliases/${name}`)).encoder;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}
