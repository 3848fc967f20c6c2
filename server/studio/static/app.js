// The page: which view is shown, and what is true of all of them.
import { EncodersView } from "./encoders.js";
import { ForgetView } from "./forget.js";
import { GalleryView } from "./gallery.js";
import { KeyView } from "./key.js";
import { LoadView } from "./load.js";
import { PoliciesView } from "./policies.js";
import { load, look, studio } from "./studio.js";
import { useStore } from "./store.js";
import { jobs } from "./stream.js";
import { texts } from "./texts.js";
import { TryView } from "./try.js";
import { Notice } from "./ui.js";
import { html, render, useEffect, useRef, useState } from "./view.js";

const VIEWS = {
  try: { view: TryView },
  forget: { view: ForgetView, admin: true },
  encoders: { view: EncodersView },
  policies: { view: PoliciesView },
  gallery: { view: GalleryView },
  load: { view: LoadView, admin: true },
  key: { view: KeyView, quiet: true },
};

/** Return the name of the view in the address, and the rest of it, as a hook. */
function useRoute() {
  const read = () => {
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    try {
      return [name, ...rest.map(decodeURIComponent)];
    } catch {
      return [name]; // it was cut, or typed wrong
    }
  };
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const look = () => setRoute(read());
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return Object.hasOwn(VIEWS, route[0]) ? route : ["try"];
}

function App() {
  const [name, ...rest] = useRoute();
  const { state, abilities, refusal } = useStore(studio);
  const connected = useStore(jobs, ({ connected }) => connected);
  const main = useRef();
  const first = useRef(true);
  const title = texts.views[name];
  useEffect(() => {
    document.title = `${title} – ${texts.name}`;
    if (!first.current) {
      main.current.focus(); // a screen reader goes on where the view begins
      look();
    }
    first.current = false;
    scrollTo(0, 0);
  }, [name]);
  const caller = abilities?.caller;
  const isAdmin = caller?.role === "admin";
  // None before it is known which: a link that moves when another appears is missed by the pointer.
  const shown = Object.entries(VIEWS).filter(
    ([, one]) => caller && !one.quiet && (isAdmin || !one.admin),
  );
  const { view: View } = VIEWS[state === "key" ? "key" : name];
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current.focus())}>
      ${texts.skip}
    </a>
    <header class="top">
      <a class="brand" href="#/try">${texts.name}</a>
      <nav aria-label=${texts.name}>
        ${shown.map(
          ([one]) =>
            html`<a href=${`#/${one}`} aria-current=${one === name ? "page" : undefined}>
              ${texts.views[one]}
            </a>`,
        )}
      </nav>
      ${caller?.needed && html`<a class="who" href="#/key">${texts.views.key}: ${caller.id}</a>`}
    </header>
    <main id="main" tabindex="-1" ref=${main}>
      ${(!connected || (state === "away" && abilities)) &&
      html`<${Notice} kind="calm">${texts.states.lost}<//>`}
      ${state === "refused" && html`<${Notice} error=${refusal} />`}
      ${state === "key" || (abilities && state !== "starting")
        ? html`<${View} rest=${rest} key=${name} />`
        : html`<p class="lead" role="status">
            ${state === "away" && refusal?.code === "unreachable" ? texts.states.away : texts.states.starting}
          </p>`}
    </main>
  `;
}

const root = document.getElementById("studio");
root.replaceChildren();
render(html`<${App} />`, root);
load();
