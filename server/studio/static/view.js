// The view library, in one place: Preact with htm's templates in place of JSX.
import { h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render };
export { useCallback, useEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export const html = htm.bind(h);

/** Join the class names that are not false. */
export const classes = (...names) => names.filter(Boolean).join(" ");
