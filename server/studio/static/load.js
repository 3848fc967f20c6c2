// Load: what the server does just now, for its operator.
import { get } from "./api.js";
import { ago, bytes, count, decimal, duration, percent } from "./format.js";
import { encoderOf } from "./models.js";
import { useStore } from "./store.js";
import { studio } from "./studio.js";
import { texts } from "./texts.js";
import { Notice } from "./ui.js";
import { html, useEffect, useState } from "./view.js";

const EVERY_MS = 3000;
const WEEK_DAYS = 7;

/** Return the latest two answers, newest first, while the page is looked at. */
function useLoad() {
  const [found, setFound] = useState([]);
  const [usage, setUsage] = useState([]);
  const [error, setError] = useState(null);
  const looked = useStore(studio, ({ looked }) => looked);
  useEffect(() => {
    let timer = 0;
    let wanted = true;
    const look = async () => {
      try {
        if (!document.hidden) {
          const load = await get("v1/load");
          if (wanted) setFound(([newest]) => [load, newest].filter(Boolean));
          setError(null);
        }
      } catch (failed) {
        if (wanted) setError(failed);
      }
      if (wanted) timer = setTimeout(look, EVERY_MS);
    };
    look();
    return () => ((wanted = false), clearTimeout(timer));
  }, []);
  useEffect(() => {
    get("v1/usage/keys", { days: WEEK_DAYS }).then((page) => setUsage(page.data), setError);
  }, [looked]);
  return { found, usage, error };
}

export function LoadView() {
  const { found, usage, error } = useLoad();
  const [now, before] = found;
  const t = texts.load;
  if (!now) return html`<h1>${t.title}</h1><${Notice} error=${error} />`;
  const sum = (kind, state) =>
    now.pending.filter((one) => one.kind === kind).reduce((total, one) => total + one[state], 0);
  const { device } = now;
  const was = before?.device;
  const passed = device && Math.max(was ? device.up_seconds - was.up_seconds : device.up_seconds, 0.1);
  const share = (name) => (device ? (device[name] - (was?.[name] ?? 0)) / passed : 0);
  const busy = Math.min(1, share("busy_seconds"));
  const denoising = Math.min(busy, share("denoise_seconds"));
  const { memory_used_bytes: used, memory_total_bytes: total } = device ?? {};
  return html`<section class="load">
    <h1>${t.title}</h1>
    <p class="lead">${t.lead}</p>
    <${Notice} error=${error} />
    <dl class="figures">
      ${["video", "encoder"].map(
        (kind) =>
          html`<${Figure}
            label=${kind === "video" ? t.videos : t.encoders}
            value=${count(sum(kind, "queued") + sum(kind, "in_progress"))}
            note=${`${count(sum(kind, "queued"))} ${t.waiting}, ${count(sum(kind, "in_progress"))} ${t.working}`}
          />`,
      )}
      <${Figure}
        label=${t.device}
        value=${device ? percent(busy) : t.none}
        note=${device
          ? `${percent(denoising)} ${t.denoising}, ${percent(busy - denoising)} ${t.making}`
          : t.takesRequests}
      />
      <${Figure}
        label=${t.memory}
        value=${bytes(now.process_bytes)}
        note=${total ? `${t.process}; ${bytes(used)} / ${bytes(total)} ${t.device}` : t.process}
      />
      <${Figure}
        label=${t.resident}
        value=${count(now.resident_count)}
        note=${[bytes(now.resident_bytes), ...now.residents.map(({ id }) => id)].join(", ")}
      />
    </dl>
    <h2>${t.who}</h2>
    ${now.pending.length
      ? html`<${Table}
          heads=${[t.key, t.what, t.waiting, t.working]}
          rows=${now.pending.map((one) => [one.key, one.kind, count(one.queued), count(one.in_progress)])}
        />`
      : html`<p>${t.nobody}</p>`}
    <h2>${t.usage}</h2>
    <${Table}
      heads=${[t.key, t.videos, t.encoders, t.requests, t.seconds, t.stored]}
      rows=${usage.map(({ id, days, used }) => {
        const all = (name) => days.reduce((total, day) => total + day[name], 0);
        const seconds = all("device_seconds");
        return [
          id,
          ...["videos", "encoders", "requests"].map((name) => count(all(name))),
          seconds < 1 ? `${decimal(seconds)} s` : duration(seconds),
          bytes(used.stored_bytes ?? 0),
        ];
      })}
    />
    <h2>${t.failures}</h2>
    ${now.failures.length
      ? html`<${Table}
          heads=${[t.when, t.key, t.what, t.why]}
          rows=${now.failures.map((one) => [
            ago(one.failed_at),
            one.key,
            one.kind === "video" ? encoderOf(one.model) : one.id,
            one.message,
          ])}
        />`
      : html`<p>${t.noFailures}</p>`}
  </section>`;
}

const Figure = ({ label, value, note }) =>
  html`<div><dt>${label}</dt><dd class="big">${value}</dd><dd class="note">${note}</dd></div>`;

const Table = ({ heads, rows }) =>
  html`<div class="scroll" tabindex="0">
    <table>
      <thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
    </table>
  </div>`;
