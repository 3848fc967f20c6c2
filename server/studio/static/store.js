// A store of state: whoever draws a part of it is drawn again when that part changes.
import { useEffect, useState } from "./view.js";

export class Store {
  #listeners = new Set();

  constructor(state) {
    this.state = state;
  }

  /** Replace some fields, and tell those who listen. */
  set(changes) {
    this.state = { ...this.state, ...changes };
    for (const listener of [...this.#listeners]) listener(this.state);
  }

  /** Call `listener(state)` at every change; return a function that ends this. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const keyStores = new Map(); // store → its state to begin with

/** Return a store of what belongs to the key in use: `emptyKeyStores` puts it back to this state. */
export function keyStore(state) {
  const store = new Store(state);
  keyStores.set(store, state);
  return store;
}

/** Empty all that was kept for a key, because it is not in use any more. */
export function emptyKeyStores() {
  for (const [store, state] of keyStores) store.set(state);
}

/** Return a part of a store's state, as a hook. */
export function useStore(store, select = (state) => state) {
  const [part, setPart] = useState(() => select(store.state));
  useEffect(() => {
    const look = (state) => setPart(() => select(state));
    look(store.state);
    return store.subscribe(look);
  }, [store]);
  return part;
}
