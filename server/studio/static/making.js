// Making: an encoder on its way, from its first phase to its verdict.
import { api, remove } from "./api.js";
import { Verdict } from "./encoder-card.js";
import { Fading } from "./fading.js";
import { decimal, duration } from "./format.js";
import { Pairs, ReportButtons } from "./report.js";
import { drop, isPending } from "./stream.js";
import { hand, replaceView } from "./studio.js";
import { texts } from "./texts.js";
import { Action, Progress } from "./ui.js";
import { classes, html } from "./view.js";

export function Making({ encoder, onAgain }) {
  const t = texts.making;
  const names = encoder.concepts.map(({ name }) => name).join(", ") || t.pictures;
  const hasPublished = encoder.status === "published";
  const hasFailed = encoder.status === "failed";
  const left = encoder.estimated_seconds_left;
  const cancel = async () => {
    await remove(api`v1/encoders/${encoder.id}`);
    drop(encoder.id);
    replaceView("forget");
  };
  return html`<section class="making-view" data-status=${encoder.status}>
    <h1>${t.title(names)}</h1>
    <p class="lead" role="status">
      ${hasPublished && t.published} ${hasFailed && t.failed}
      ${encoder.status === "queued" && t.waiting}
      ${encoder.status === "in_progress" && (left == null ? t.background : t.left(duration(left)))}
    </p>
    <div class="columns">
      <div>
        ${isPending(encoder)
          ? html`<${Phases} encoder=${encoder} />
              <${Action} run=${cancel}>${texts.cancel}<//>`
          : html`<div class="card"><${Verdict} encoder=${encoder} /></div>`}
        ${hasPublished &&
        html`<div class="actions">
          <button class="main" onClick=${() => hand("try", { chosen: [texts.base, encoder.id] })}>
            ${t.tryIt}
          </button>
          <${ReportButtons} encoder=${encoder} />
        </div>`}
        ${hasFailed && html`<${Advice} encoder=${encoder} onAgain=${onAgain} />`}
        ${encoder.training?.losses.length > 1 && html`<${Losses} training=${encoder.training} />`}
      </div>
      <${Fading} encoder=${encoder} />
    </div>
    ${hasPublished &&
    encoder.judged &&
    html`<${Pairs} path=${api`v1/encoders/${encoder.id}/report`} query=${{ format: "json" }} />`}
    ${hasFailed && html`<${Pairs} path=${api`v1/encoders/${encoder.id}/failure`} />`}
  </section>`;
}

function Phases({ encoder }) {
  // Pictures are named only where nobody has named what they show.
  const isNamed = encoder.phase !== "naming";
  const phases = Object.entries(texts.making.phases).filter(([one]) => one !== "naming" || !isNamed);
  return html`<ol class="phases">
    ${phases.map(([phase, name]) => {
      const share = encoder.phases[phase] ?? 0;
      const isNow = encoder.phase === phase;
      return html`<li class=${classes(isNow && "now", share === 100 && "done")} aria-current=${isNow ? "step" : undefined}>
        <span>${name}</span>
        <${Progress} value=${share} label=${name} />
      </li>`;
    })}
  </ol>`;
}

function Advice({ encoder, onAgain }) {
  const t = texts.advice;
  const found = t[encoder.error?.code] ?? t.other;
  return html`<h2>${t.title}</h2>
    <ul>
      ${(Array.isArray(found) ? found : t.other).map((one) => html`<li>${one}</li>`)}
    </ul>
    <button onClick=${onAgain}>${texts.making.again}</button>`;
}

/** The loss of the optimisation, as a curve. */
function Losses({ training }) {
  const { losses, every, step, steps } = training;
  const t = texts.making;
  const top = Math.max(...losses);
  const most = Math.max(1, (steps ?? step) - 1);
  const points = losses.map((loss, i) => `${(100 * i * every) / most},${40 - (38 * loss) / (top || 1)}`);
  const said = t.lossOf(step, steps ?? step, decimal(losses.at(-1)));
  return html`<figure class="losses">
    <svg viewBox="0 0 100 41" preserveAspectRatio="none" role="img" aria-label=${`${t.loss}: ${said}`}>
      <line x1="0" x2="100" y1="40" y2="40" class="axis" vector-effect="non-scaling-stroke" />
      <polyline points=${points.join(" ")} class="curve" vector-effect="non-scaling-stroke" />
    </svg>
    <figcaption class="note">${t.loss}: ${said}</figcaption>
  </figure>`;
}
