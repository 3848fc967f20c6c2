// Policies: a set of encoders behind a name, edited as a set and switched at once.
import { address, put, remove } from "./api.js";
import { compose } from "./encoders.js";
import { Store, useStore } from "./store.js";
import { jobs } from "./stream.js";
import { refresh, studio } from "./studio.js";
import { texts } from "./texts.js";
import { Action, Confirm, NameField, Notice } from "./ui.js";
import { html, useState } from "./view.js";

/** Policy → the set that is being judged for it; and what became of the last ones. */
const switching = new Store({ waiting: {}, said: [] });

// A policy is switched once its set has passed, whichever view is shown.
jobs.subscribe(async ({ byId }) => {
  for (const [name, id] of Object.entries(switching.state.waiting)) {
    const job = byId[id];
    if (job?.status !== "published" && job?.status !== "failed") continue;
    const { [name]: _, ...waiting } = switching.state.waiting;
    switching.set({ waiting });
    let said = { kind: "bad", text: texts.policies.failed(name) };
    if (job.status === "published") {
      try {
        await put(`v1/aliases/${name}`, { encoder: id });
        said = { kind: "calm", text: texts.policies.switched(name, id) };
      } catch (error) {
        said = { kind: "bad", text: error.message };
      }
    }
    switching.set({ said: [...switching.state.said, said] });
    refresh().catch(() => {});
  }
});

export function PoliciesView() {
  const { aliases, encoders, abilities, models } = useStore(studio);
  const { waiting, said } = useStore(switching);
  const [edited, setEdited] = useState(null);
  const isAdmin = abilities.caller.role === "admin";
  const t = texts.policies;
  const found = aliases.filter((one) => models.some((model) => model.id.endsWith(`:${one.id}`)));
  const pending = Object.keys(waiting).filter((name) => !found.some((one) => one.id === name));
  return html`<section>
    <h1>${t.title}</h1>
    <p class="lead">${t.lead}</p>
    ${said.map(
      ({ kind, text }) =>
        html`<${Notice}
          kind=${kind}
          onClose=${() => switching.set({ said: said.filter((one) => one.text !== text) })}
        >
          ${text}
        <//>`,
    )}
    ${!found.length && !pending.length && html`<p>${t.none}</p>`}
    <ul class="cards">
      ${[...found, ...pending.map((id) => ({ id, encoder: null }))].map(
        (policy) =>
          html`<${Policy}
            key=${policy.id}
            policy=${policy}
            encoders=${encoders}
            waiting=${waiting[policy.id]}
            isAdmin=${isAdmin}
            model=${abilities.model}
            onEdit=${() => setEdited(policy)}
          />`,
      )}
    </ul>
    ${isAdmin &&
    (edited
      ? html`<${Edit} key=${edited.id} policy=${edited} encoders=${encoders} onClose=${() => setEdited(null)} />`
      : html`<button class="main" onClick=${() => setEdited({ id: "", encoder: null })}>${t.new}</button>`)}
  </section>`;
}

const membersOf = (id, encoders) => {
  const encoder = encoders.find((one) => one.id === id);
  if (!encoder) return [];
  return encoder.members.length ? encoder.members.map((member) => member.id) : [id];
};

function Policy({ policy, encoders, waiting, isAdmin, model, onEdit }) {
  const [asks, setAsks] = useState(false);
  const t = texts.policies;
  const members = membersOf(policy.encoder, encoders);
  const deleteIt = async () => {
    await remove(`v1/aliases/${policy.id}`);
    await refresh();
  };
  return html`<li class="card" data-policy=${policy.id}>
    <h2>${policy.id}</h2>
    ${policy.encoder && html`<p class="note">${t.points(policy.encoder)}</p>`}
    <ul class="chips">
      ${members.map((name) => html`<li class="chip">${name}</li>`)}
    </ul>
    ${waiting && html`<${Notice} kind="calm">${t.saving(waiting)}<//>`}
    ${policy.encoder &&
    html`<details>
      <summary>${t.use}</summary>
      <pre tabindex="0">curl ${address("v1/videos")} -H "Authorization: Bearer $PALIMPSEST_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"prompt": "…", "model": "${model}:${policy.id}"}'</pre>
    </details>`}
    ${isAdmin &&
    policy.encoder &&
    html`<div class="actions">
      <button class="small" onClick=${onEdit}>${t.edit}</button>
      <button class="small" onClick=${() => setAsks(true)}>${t.remove}</button>
    </div>`}
    ${asks &&
    html`<${Confirm}
      title=${`${t.remove} ${policy.id}`}
      why=${t.removeWhy}
      ask=${t.removeType(policy.id)}
      word=${policy.id}
      action=${t.remove}
      run=${deleteIt}
      onClose=${() => setAsks(false)}
    />`}
  </li>`;
}

function Edit({ policy, encoders, onClose }) {
  const t = texts.policies;
  const single = encoders.filter((one) => one.status === "published" && one.usable && !one.members.length);
  const [name, setName] = useState(policy.id);
  const [chosen, setChosen] = useState(() => membersOf(policy.encoder, encoders));
  const toggle = (id) =>
    setChosen(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  const run = async () => {
    const fitting = encoders.find((one) => isSet(one, chosen));
    if (fitting) {
      await put(`v1/aliases/${name}`, { encoder: fitting.id });
      switching.set({ said: [{ kind: "calm", text: t.switched(name, fitting.id) }] });
      await refresh();
    } else {
      const set = await compose(freeId(name, encoders), chosen);
      switching.set({ waiting: { ...switching.state.waiting, [name]: set.id } });
    }
    onClose();
  };
  return html`<div class="card edit">
    <h2>${policy.id || t.new}</h2>
    ${!policy.id &&
    html`<${NameField} label=${t.name} help=${t.nameHelp} value=${name} onInput=${setName} />`}
    <fieldset>
      <legend>${t.set}</legend>
      <div class="chips">
        ${single.map(
          (one) =>
            html`<label class="chip" key=${one.id}>
              <input type="checkbox" checked=${chosen.includes(one.id)} onChange=${() => toggle(one.id)} />
              ${one.id}
              <span class="note">${one.concepts.map((concept) => concept.name).join(", ")}</span>
            </label>`,
        )}
      </div>
    </fieldset>
    <div class="actions">
      <${Action} kind="main" disabled=${!chosen.length || !name} run=${run}>
        ${chosen.length ? t.save : t.noSet}
      <//>
      <button onClick=${onClose}>${texts.cancel}</button>
    </div>
  </div>`;
}

/** Tell if an encoder is exactly this set: the one encoder, or a usable composite of all. */
function isSet(encoder, names) {
  if (encoder.status !== "published" || !encoder.usable) return false;
  const own = encoder.members.length ? encoder.members.map(({ id }) => id) : [encoder.id];
  return own.length === names.length && own.every((id) => names.includes(id));
}

/** Return an id for a policy's next set. */
function freeId(name, encoders) {
  let number = 1;
  while (encoders.some((one) => one.id === `${name}-${number}`)) number += 1;
  return `${name}-${number}`;
}
