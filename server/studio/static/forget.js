// Forget: what a new encoder shall forget, and how strictly it is judged.
import { api, get, post } from "./api.js";
import { ForgetForm } from "./forget-form.js";
import { Making } from "./making.js";
import { keyStore, useStore } from "./store.js";
import { follow, jobs } from "./stream.js";
import { refresh, replaceView, studio } from "./studio.js";
import { texts } from "./texts.js";
import { Notice, standing } from "./ui.js";
import { html, useEffect } from "./view.js";

const EMPTY = { concept: "", kind: "character", synonyms: "", images: [], tier: "", gate: {}, id: "" };

/** What is typed in; it stays while other views are shown. */
const draft = keyStore({ form: EMPTY, error: null });

export function ForgetView({ rest }) {
  const { abilities, encoders, looked } = useStore(studio);
  const { form, error } = useStore(draft);
  const byId = useStore(jobs, ({ byId }) => byId);
  const [id] = rest;
  useEffect(() => {
    if (!id || byId[id]) return;
    let wanted = true;
    get(api`v1/encoders/${id}`).then(follow, (error) => {
      if (wanted && !error.passes) replaceView("forget");
    });
    return () => (wanted = false);
  }, [id, looked, !byId[id]]);
  if (abilities.caller.role !== "admin") return html`<${Notice} kind="calm">${texts.forget.needAdmin}<//>`;
  if (!abilities.judges) return html`<${Notice} kind="calm">${texts.forget.noJudge}<//>`;
  if (id) {
    const found = encoders.find((one) => one.id === id && one.status === "published");
    const encoder = found ?? byId[id];
    return encoder && html`<${Making} encoder=${encoder} key=${id} onAgain=${() => again(encoder)} />`;
  }
  const making = Object.values(byId).filter(
    (job) => job.object === "encoder" && ["queued", "in_progress"].includes(job.status),
  );
  const suggested = suggestedId(form.concept, [...encoders.map((one) => one.id), ...Object.keys(byId)]);
  const start = async () => {
    draft.set({ error: null });
    try {
      const encoder = await post("v1/encoders", bodyOf({ ...form, id: form.id || suggested }));
      follow(encoder);
      refresh().catch(() => {});
      draft.set({ form: EMPTY });
      location.hash = `#/forget/${encoder.id}`;
    } catch (refused) {
      if (refused.name === "AbortError") throw refused;
      draft.set({ error: refused });
    }
  };
  return html`<section class="forget">
    <h1>${texts.forget.title}</h1>
    <p class="lead">${texts.forget.lead}</p>
    ${making.length > 0 &&
    html`<p>
      ${texts.making.others}:${" "}
      ${making.map((one) => html`<a href=${`#/forget/${one.id}`}>${one.id} (${one.progress} %)</a> `)}
    </p>`}
    <${ForgetForm}
      form=${form}
      suggested=${suggested}
      abilities=${abilities}
      error=${error}
      onChange=${change}
      onStart=${start}
    />
  </section>`;
}

function change(changes) {
  const { form, error } = draft.state;
  const after = { ...form, ...changes };
  draft.set({ form: after, error: standing(error, form, after) });
}

/** Return the id that an encoder gets if none is typed in; "": the server names it. */
function suggestedId(concept, taken) {
  const id = `no-${concept.trim().toLowerCase().replace(/\s+/g, "-")}`;
  return /^no-[a-z0-9-]{1,40}$/.test(id) && !taken.includes(id) ? id : "";
}

/** Begin again with what an encoder was asked for with. */
function again(encoder) {
  const [first] = encoder.concepts;
  draft.set({
    error: null,
    form: {
      ...EMPTY,
      concept: first?.name ?? "",
      kind: first?.kind ?? EMPTY.kind,
      synonyms: (first?.synonyms ?? []).join(", "),
      id: encoder.id,
    },
  });
  location.hash = "#/forget";
}

export const synonymsOf = (text) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

function bodyOf({ concept, kind, synonyms, images, tier, gate, id }) {
  const given = Object.fromEntries(Object.entries(gate).filter(([, value]) => value != null));
  const asked = { ...(tier && { tier }), ...given };
  const named = concept.trim()
    ? { concept: concept.trim(), kind, synonyms: synonymsOf(synonyms) }
    : { kind };
  const fields = { ...(id && { id }), ...named, ...(Object.keys(asked).length && { gate: asked }) };
  if (!images.length) return fields;
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const one of value) form.append(`${name}[]`, one);
    else form.append(name, typeof value === "object" ? JSON.stringify(value) : value);
  }
  for (const image of images) form.append("images", image);
  return form;
}
