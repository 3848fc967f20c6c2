// Try: the same prompt and seed, by the base and by encoders, side by side.
import { api, get, post, remove } from "./api.js";
import { CopyAs } from "./copy-as.js";
import { keep } from "./kept.js";
import { nameOf, randomSeed } from "./models.js";
import { Player } from "./player.js";
import { keyStore, useStore } from "./store.js";
import { drop, follow, jobs } from "./stream.js";
import { studio, taken } from "./studio.js";
import { texts } from "./texts.js";
import { TryForm } from "./try-form.js";
import { Notice, standing } from "./ui.js";
import { html, useEffect, useRef } from "./view.js";

const MOST = 4;

/** What was asked for last; it stays while other views are shown. */
const attempt = keyStore({ form: null, clips: [], error: null });
keep(attempt, "palimpsest.try", ({ form, clips }) => ({ form, clips: clips.filter(({ id }) => id) }));

export function TryView() {
  const { abilities, models, encoders, looked, state } = useStore(studio);
  const { form, clips, error } = useStore(attempt);
  const byId = useStore(jobs, ({ byId }) => byId);
  useEffect(() => {
    const handed = taken("try");
    if (!handed && form) return;
    const isTyped = form && !abilities.examples.includes(form.prompt);
    const telling = !isTyped && exampleOf(abilities.examples, encoders, handed?.chosen ?? []);
    const prompt = telling ? { prompt: telling } : {};
    attempt.set({ form: { ...begin(abilities, models, encoders), ...form, ...prompt, ...handed } });
  }, []);
  useEffect(() => {
    const unknown = clips.filter(({ id }) => id && !byId[id]);
    for (const { id } of unknown) get(api`v1/videos/${id}`).then(follow, () => {}); // it may be gone
  }, [looked]);
  const results = useRef(null);
  if (!form) return null;
  const shown = clips.filter(({ id, error: refused }) => refused || byId[id]);
  const names = models.map((one) => nameOf(one));
  const chosen = form.chosen.filter((name) => names.includes(name)).slice(0, MOST);
  const requests = chosen.map((name) => requestOf({ ...form, name }, abilities));
  const make = async () => {
    attempt.set({ error: null });
    const found = await Promise.all(
      requests.map(async (body, i) => {
        try {
          const video = await post("v1/videos", body);
          follow(video);
          return { name: chosen[i], id: video.id };
        } catch (refused) {
          if (refused.name === "AbortError") throw refused;
          return { name: chosen[i], error: refused };
        }
      }),
    );
    const refusals = found.filter((one) => one.error);
    if (refusals.length === found.length) return attempt.set({ error: refusals[0].error });
    const earlier = attempt.state.clips.filter(({ id }) => isOpen(jobs.state.byId[id]));
    attempt.set({ clips: found });
    requestAnimationFrame(() => results.current?.scrollIntoView({ block: "nearest" }));
    await Promise.all(earlier.map(({ id }) => cancel(id)));
  };
  return html`<section class="try">
    <h1>${texts.try.title}</h1>
    <p class="lead">${texts.try.lead}</p>
    <${TryForm}
      form=${form}
      chosen=${chosen}
      most=${MOST}
      abilities=${abilities}
      models=${models}
      error=${error}
      onChange=${change}
      onMake=${make}
    />
    ${state === "ready" && !models.length && html`<${Notice} kind="calm">${texts.try.none}<//>`}
    <div class="results" ref=${results}>
      ${shown.length > 0 &&
      html`<${Player}
        clips=${shown.map((clip) => ({
          ...clip,
          video: byId[clip.id] ?? null,
          note: clip.name === texts.base ? texts.baseMade : null,
          cancel: () => cancel(clip.id),
        }))}
      />`}
    </div>
    <${CopyAs} requests=${requests} />
  </section>`;
}

function change(changes) {
  const { form, error } = attempt.state;
  const after = { ...form, ...changes };
  attempt.set({ form: after, error: standing(error, fieldsOf(form), fieldsOf(after)) });
}

/** Return the values of a form by the names that its requests and their errors have for them. */
const fieldsOf = ({ more, chosen, ...rest }) => ({ ...more, ...rest, model: chosen });

const isOpen = (job) => job && ["queued", "in_progress"].includes(job.status);

async function cancel(id) {
  await remove(api`v1/videos/${id}`);
  drop(id);
  attempt.set({ clips: attempt.state.clips.filter((clip) => clip.id !== id) });
}

/** Return a prompt that shows what these encoders have forgotten, if there is one. */
function exampleOf(examples, encoders, ids) {
  const concepts = encoders.filter(({ id }) => ids.includes(id)).flatMap((one) => one.concepts);
  return examples.find((text) => concepts.some(({ name }) => text.includes(name)));
}

/** Return the form to begin with: the newest encoder, and a prompt that shows what it forgot. */
function begin({ examples }, models, encoders) {
  const names = models.filter((one) => one.usable).map(nameOf);
  const newest = encoders.find((one) => one.usable && names.includes(one.id));
  return {
    prompt: exampleOf(examples, encoders, [newest?.id]) ?? examples[0] ?? "",
    chosen: [...names.filter((name) => name === texts.base), ...(newest ? [newest.id] : [])],
    seed: randomSeed(),
    more: {},
  };
}

function requestOf({ prompt, name, seed, more }, { model }) {
  const given = Object.entries(more).filter(([, value]) => value !== "" && value != null);
  const body = { prompt, model: name === texts.base ? model : `${model}:${name}`, seed };
  return { ...body, ...Object.fromEntries(given) };
}
