// The key: typed in once, kept by this tab.
import { useKey, studio } from "./studio.js";
import { useStore } from "./store.js";
import { texts } from "./texts.js";
import { Field, Notice } from "./ui.js";
import { html, useState } from "./view.js";

/** The form for a key, and what is known of the one in use. */
export function KeyView() {
  const { abilities, refusal, models } = useStore(studio);
  const [typed, setTyped] = useState("");
  const caller = abilities?.caller;
  const submit = (event) => {
    event.preventDefault();
    useKey(typed.trim());
    setTyped("");
  };
  if (caller && !caller.needed) {
    return html`<section class="narrow"><h1>${texts.views.key}</h1><p>${texts.key.none}</p></section>`;
  }
  if (caller) {
    const names = models.filter((one) => one.parent).map((one) => one.id.split(":")[1]);
    return html`<section class="narrow">
      <h1>${texts.key.signedIn(caller.id, texts.key.roles[caller.role])}</h1>
      <p>
        ${texts.key.may}:${" "}
        ${caller.role === "admin"
          ? texts.key.everything
          : [...(caller.base ? [texts.key.baseToo] : []), ...names].join(", ")}.
        ${!caller.base && ` ${texts.key.noBase}`}
      </p>
      <button onClick=${() => useKey("")}>${texts.key.another}</button>
    </section>`;
  }
  return html`<section class="narrow">
    <h1>${texts.key.title}</h1>
    <p class="lead">${texts.key.lead}</p>
    <${Notice} error=${refusal} />
    <form onSubmit=${submit}>
      <${Field}
        label=${texts.key.label}
        type="password"
        autocomplete="off"
        required
        value=${typed}
        onInput=${setTyped}
      />
      <button class="main">${texts.key.use}</button>
    </form>
  </section>`;
}
