// Gallery: the videos of the key, and where a file comes from.
import { all, api, post, remove } from "./api.js";
import { GalleryItem } from "./gallery-item.js";
import { count } from "./format.js";
import { encoderOf } from "./models.js";
import { useStore } from "./store.js";
import { drop, follow, isPending, jobs } from "./stream.js";
import { studio } from "./studio.js";
import { texts } from "./texts.js";
import { Drop, Field, Notice } from "./ui.js";
import { html, useEffect, useRef, useState } from "./view.js";

const STATES = ["queued", "in_progress", "completed", "failed"];

export function GalleryView() {
  const byId = useStore(jobs, ({ byId }) => byId);
  const [listed, setListed] = useState(null);
  const [error, setError] = useState(null);
  const [wanted, setWanted] = useState({ text: "", model: "", status: "" });
  const { abilities, looked, state } = useStore(studio);
  const isOfKey = abilities.caller.needed;
  const t = texts.gallery;
  useEffect(() => {
    let wanted = true;
    all("v1/videos").then((found) => {
      if (!wanted) return;
      setListed(found);
      setError(null);
      follow(...found.filter(isPending));
    }, (failed) => wanted && setError(failed.isAway ? null : failed));
    return () => (wanted = false);
  }, [looked]);
  const videos = (listed ?? []).map((one) => byId[one.id] ?? one);
  const fits = (video) =>
    (video.prompt ?? "").toLowerCase().includes(wanted.text.toLowerCase()) &&
    (!wanted.model || video.model === wanted.model) &&
    (!wanted.status || video.status === wanted.status);
  const shown = videos.filter(fits);
  const models = [...new Set(videos.map(({ model }) => model))];
  const deleteIt = async (id) => {
    await remove(api`v1/videos/${id}`);
    drop(id);
    setListed((before) => before.filter((one) => one.id !== id));
  };
  const choice = (name, label, none, options) =>
    html`<${Field}
      label=${label}
      options=${[["", none], ...options]}
      value=${wanted[name]}
      onInput=${(value) => setWanted({ ...wanted, [name]: value })}
    />`;
  return html`<section>
    <h1>${t.title}</h1>
    <p class="lead">
      ${videos.length > 0 && t.lead(videos.length, count(videos.length), isOfKey)}
      ${listed && !videos.length && state === "ready" && t.none}
    </p>
    <${Notice} error=${error} />
    <div class="row tools">
      <${Field}
        label=${t.search}
        type="search"
        value=${wanted.text}
        onInput=${(text) => setWanted({ ...wanted, text })}
      />
      ${choice("model", t.model, t.allModels, models.map((model) => [model, encoderOf(model)]))}
      ${choice("status", t.state, t.allStates, STATES.map((state) => [state, texts.status[state]]))}
    </div>
    ${videos.length > 0 && !shown.length && html`<p>${t.empty}</p>`}
    <ul class="gallery">
      ${shown.map((video) => html`<${GalleryItem} key=${video.id} video=${video} onDelete=${deleteIt} />`)}
    </ul>
    <${Verify} />
  </section>`;
}

/** Where a file comes from, by its signature, its watermark and the server's records. */
function Verify() {
  const [found, setFound] = useState(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const asked = useRef(0);
  const t = texts.gallery;
  const verify = async ([file]) => {
    const number = (asked.current += 1);
    const latest = (set) => (value) => number === asked.current && set(value);
    const form = new FormData();
    form.append("file", file);
    setFound(null);
    setError(null);
    setBusy(true);
    const answer = post("v1/verify", form).then((origin) => ({ ...origin, file: file.name }));
    await answer.then(latest(setFound), latest(setError));
    latest(setBusy)(false);
  };
  const facts = found && {
    encoder: found.record && (found.record.encoder_identity ?? texts.base),
    unchanged: found.record?.unchanged == null ? null : found.record.unchanged ? t.yes : t.no,
    video: found.record?.video,
  };
  return html`<section class="verify">
    <h2>${t.verify}</h2>
    <${Drop} label=${t.verifyDrop} onFiles=${verify} />
    <div role="status">
      ${busy && t.verifying}
      ${found &&
      html`<p><strong>${found.file}</strong>: ${found.verdict}</p>
        <dl class="facts">
          ${found.signature &&
          html`<dt>${t.signer}</dt>
            <dd>${found.signature.signer} (${found.signature.is_ours ? t.ours : t.foreign})</dd>`}
          ${Object.entries(facts)
            .filter(([, value]) => value)
            .map(([name, value]) => html`<dt>${t.facts2[name]}</dt><dd>${value}</dd>`)}
        </dl>`}
    </div>
    <${Notice} error=${error} />
  </section>`;
}
