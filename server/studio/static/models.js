// Names of models, as the page shows them.
import { texts } from "./texts.js";

/** Return the name under which an entry of `/v1/models` is shown: an encoder, an alias, the base. */
export const nameOf = (model) =>
  model.parent ? model.id.slice(model.parent.length + 1) : texts.base;

/** Return the name of the encoder in a request's `model`. */
export const encoderOf = (model) => model.split(":").slice(1).join(":") || texts.base;

export const randomSeed = () => Math.floor(Math.random() * 1e6);
