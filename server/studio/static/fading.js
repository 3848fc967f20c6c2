// The fading preview: one still, remade every few steps by the encoder as it is.
import { api } from "./api.js";
import { objectUrl, useFile } from "./media.js";
import { texts } from "./texts.js";
import { html, useEffect, useRef, useState } from "./view.js";

export function Fading({ encoder }) {
  const steps = useSteps(encoder);
  const [chosen, setChosen] = useState(null); // null: always the newest
  const t = texts.making;
  const place = chosen ?? steps.length - 1;
  const path = (i) => (steps[i] == null ? null : api`v1/encoders/${encoder.id}/previews/${steps[i]}`);
  const url = useFile(path(place));
  const last = useRef(null); // is shown until the next one is there
  if (url) last.current = url;
  if (!steps.length) return null;
  return html`<figure class="fading">
    <div class="frame">
      ${last.current &&
      html`<img key=${last.current} src=${last.current} alt=${`${t.preview}: ${t.previewAt(steps[place])}`} />`}
    </div>
    <figcaption>
      <span class="note">${t.preview}, ${t.previewAt(steps[place])}</span>
      ${steps.length > 1 &&
      html`<input
        type="range"
        min="0"
        max=${steps.length - 1}
        value=${place}
        aria-label=${t.scrub}
        aria-valuetext=${t.previewAt(steps[place])}
        onInput=${(event) => {
          const at = Number(event.target.value);
          setChosen(at === steps.length - 1 ? null : at);
        }}
      />`}
    </figcaption>
  </figure>`;
}

/** Return the steps of which there are stills. The server drops them at the end; the page does not. */
function useSteps(encoder) {
  const kept = useRef([]);
  const found = encoder.training?.previews ?? [];
  if (found.length > kept.current.length) kept.current = [...found].sort((a, b) => a - b);
  useEffect(() => {
    for (const step of kept.current) {
      objectUrl(api`v1/encoders/${encoder.id}/previews/${step}`).catch(() => {});
    }
  }, [kept.current]);
  return kept.current;
}
