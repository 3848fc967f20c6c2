// Small parts that all views are made of.
import { texts } from "./texts.js";
import { classes, html, useEffect, useRef, useState } from "./view.js";

let ids = 0;
/** Return an id that is unique on the page, as a hook. */
export function useId() {
  return useState(() => `i${(ids += 1)}`)[0];
}

/** An error, or another message that must not be missed. */
export function Notice({ error, kind = "bad", children, onClose }) {
  if (!error && !children) return null;
  return html`<div class=${classes("notice", kind)} role=${kind === "bad" ? "alert" : "status"}>
    <div>
      ${error ? error.message : children}
    </div>
    ${onClose &&
    html`<button class="plain" aria-label=${texts.errors.close} onClick=${onClose}>×</button>`}
  </div>`;
}

/**
 * A field with its label, help and, if the API found fault with it, the error.
 *
 * It is a select with `options` (pairs of value and text), a text area with `area`, else an input.
 * `onInput` gets the value: of a number field a number, or null while there is none.
 */
export function Field({ label, help, error, wide, options, area, value, onInput, ...rest }) {
  const id = useId();
  const input = ({ target }) => {
    if (target.type !== "number") return onInput(target.value);
    return onInput(Number.isNaN(target.valueAsNumber) ? null : target.valueAsNumber);
  };
  const given = { ...rest, id, value, onInput: input, "aria-invalid": error ? "true" : undefined };
  if (help || error) given["aria-describedby"] = `${id}-help`;
  const choices = options?.map(([one, text]) => html`<option value=${one}>${text}</option>`);
  return html`<div class=${classes("field", wide && "wide", error && "wrong")}>
    <label for=${id}>${label}</label>
    ${options
      ? html`<select ...${given}>${choices}</select>`
      : html`<${area ? "textarea" : "input"} ...${given} />`}
    ${(help || error) && html`<p class="note" id=${`${id}-help`}>${error ?? help}</p>`}
  </div>`;
}

/** A field for the name of something new. */
export const NameField = (props) =>
  html`<${Field} autocomplete="off" autocapitalize="none" spellcheck="false" ...${props} />`;

/** Return an error; null if what it finds fault with has another value in the form by now. */
export function standing(error, before, after) {
  const name = error?.param?.split(".")[0];
  return before[name] === after[name] ? error : null;
}

/**
 * A button that is busy while the promise of its action is pending, and shows its error.
 *
 * The error goes once `about`, the text that the action sends, is another.
 */
export function Action({ run, children, kind, disabled, label, about }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const alive = useRef(true);
  useEffect(() => () => (alive.current = false), []);
  useEffect(() => setError(null), [about]);
  const click = async () => {
    setBusy(true);
    setError(null);
    try {
      await run();
    } catch (found) {
      if (alive.current) setError(found);
    }
    if (alive.current) setBusy(false);
  };
  return html`<button
      type="button"
      class=${kind}
      disabled=${disabled || busy}
      aria-busy=${busy}
      aria-label=${label}
      onClick=${click}
    >
      ${children}
    </button>
    <${Notice} error=${error} onClose=${() => setError(null)} />`;
}

/** Progress in percent. */
export function Progress({ value, label }) {
  return html`<progress max="100" value=${value} aria-label=${label}>${value} %</progress>`;
}

/** A dialog above the page; the browser keeps the focus in it and closes it with Escape. */
export function Dialog({ title, onClose, children, wide }) {
  const element = useRef();
  const id = useId();
  useEffect(() => {
    element.current.showModal();
  }, []);
  return html`<dialog
    ref=${element}
    class=${wide && "wide"}
    aria-labelledby=${id}
    onClose=${onClose}
    onClick=${(event) => event.target === element.current && element.current.close()}
  >
    <div class="inside">
      <header>
        <h2 id=${id}>${title}</h2>
        <button
          class="plain"
          aria-label=${texts.errors.close}
          onClick=${() => element.current.close()}
        >
          ×
        </button>
      </header>
      ${children}
    </div>
  </dialog>`;
}

/** A dialog that does something final once its word is typed; `why` is one paragraph, or several. */
export function Confirm({ title, why, ask, word, action, run, onClose }) {
  const [typed, setTyped] = useState("");
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${[why].flat().map((text) => text && html`<p>${text}</p>`)}
    <${NameField} label=${ask} value=${typed} onInput=${(text) => setTyped(text.trim())} />
    <${Action} kind="danger" disabled=${typed !== word} run=${() => run().then(onClose)}>
      ${action}
    <//>
  <//>`;
}

/** A place where files are dropped, or chosen with the keyboard. */
export function Drop({ label, help, accept, multiple, onFiles }) {
  const [over, setOver] = useState(false);
  const id = useId();
  const take = (event) => {
    event.preventDefault();
    setOver(false);
    const files = [...(event.dataTransfer ?? event.target).files];
    if (files.length) onFiles(files);
    if (!event.dataTransfer) event.target.value = "";
  };
  return html`<div
    class=${classes("drop", over && "over")}
    onDragOver=${(event) => (event.preventDefault(), setOver(true))}
    onDragLeave=${() => setOver(false)}
    onDrop=${take}
  >
    <label for=${id}>${label}</label>
    <input id=${id} type="file" accept=${accept} multiple=${multiple} onChange=${take} />
    ${help && html`<p class="note">${help}</p>`}
  </div>`;
}
