// Reports: the page to hand on, its zip, and its pairs of clips beside each other.
import { address, api, blob, get, key } from "./api.js";
import { save, useFile } from "./media.js";
import { texts } from "./texts.js";
import { Action } from "./ui.js";
import { classes, html, useEffect, useState } from "./view.js";

const SHOWN = 6;

/** Buttons that open an encoder's report and save its zip. */
export function ReportButtons({ encoder }) {
  const path = api`v1/encoders/${encoder.id}/report`;
  const open = async () => {
    if (!key.get()) return void window.open(address(path), "_blank", "noopener");
    const page = await blob(path); // a link sends no key
    window.open(URL.createObjectURL(page), "_blank");
  };
  const zip = async () => save(await blob(path, { format: "zip" }), `${encoder.id}-report.zip`);
  return html`<${Action} kind="small" run=${open}>${texts.encoders.report}<//>
    <${Action} kind="small" run=${zip}>${texts.encoders.zip}<//>`;
}

/** Pairs of clips by base and encoder: of a report, or those that failed an encoder. */
export function Pairs({ path, query }) {
  const [pairs, setPairs] = useState([]);
  useEffect(() => {
    get(path, query).then(
      (found) => setPairs(found.pairs.filter((pair) => pair.encoder_file).slice(0, SHOWN)),
      () => setPairs([]),
    );
  }, [path]);
  return html`<div class="pairs">
    ${pairs.map(
      (pair) =>
        html`<figure class=${classes("pair", pair.failed && "failed")} key=${pair.encoder_file}>
          <figcaption>${pair.prompt}</figcaption>
          <div class="halves">
            ${["base", "encoder"].map((side) => {
              const file = pair[`${side}_file`];
              return file && html`<${Half} label=${texts.pairs[side]} path=${`${path}/${file}`} />`;
            })}
          </div>
          <p class=${classes("note", pair.failed && "bad")}>${texts.pairs.said(pair)}</p>
        </figure>`,
    )}
  </div>`;
}

function Half({ label, path }) {
  const url = useFile(path);
  const source = url ?? undefined;
  return html`<div>
    <span class="note">${label}</span>
    ${path.endsWith(".mp4")
      ? html`<video src=${source} muted autoplay loop playsinline aria-label=${label}></video>`
      : html`<img src=${source} alt=${label} />`}
  </div>`;
}
