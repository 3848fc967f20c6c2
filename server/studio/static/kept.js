// What outlives a reload: parts of stores, in the tab's session, for the key that they belong to.
import { key } from "./api.js";

/** Give a store what was kept of it under a name, and keep that part of it from now on. */
export function keep(store, name, partOf) {
  const { key: owner, ...part } = JSON.parse(sessionStorage.getItem(name) ?? "{}");
  if (owner === key.get()) store.set(part); // what is one key's is not another's
  store.subscribe((state) =>
    sessionStorage.setItem(name, JSON.stringify({ key: key.get(), ...partOf(state) })),
  );
}
