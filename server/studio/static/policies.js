// Policies: a set of encoders behind a name, edited as a set and switched at once.
import { address } from "./api.js";
import { compose } from "./encoders.js";
import { useStore } from "./store.js";
import { refresh, studio } from "./studio.js";
import { deleteAlias, point, pointLater, say, switching } from "./switching.js";
import { texts } from "./texts.js";
import { Action, Confirm, NameField, Notice } from "./ui.js";
import { html, useState } from "./view.js";

export function PoliciesView() {
  const { aliases, encoders, abilities, models, state } = useStore(studio);
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
    ${state === "ready" && !found.length && !pending.length && html`<p>${t.none}</p>`}
    <ul class="cards">
      ${[...found, ...pending.map((id) => ({ id, encoder: null }))].map(
        (policy) =>
          html`<${Policy}
            key=${policy.id}
            policy=${policy}
            encoders=${encoders}
            waiting=${waiting[policy.id]?.id}
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
  if (!encoder) return id ? [id] : [];
  return encoder.members.length ? encoder.members.map((member) => member.id) : [id];
};

const isPublished = (id, encoders) =>
  encoders.some((one) => one.id === id && one.status === "published");

/** Return why a policy cannot be used; null if it can. Only an admin sees all encoders. */
function faultOf({ encoder: id }, encoders, isAdmin) {
  const encoder = encoders.find((one) => one.id === id);
  if (!id || (encoder ? encoder.usable : !isAdmin)) return null;
  const gone = membersOf(id, encoders).filter((one) => !isPublished(one, encoders));
  const { gone: text, unusable } = texts.policies;
  return isAdmin && gone.length ? text(gone.join(", "), gone.length) : unusable;
}

function Policy({ policy, encoders, waiting, isAdmin, model, onEdit }) {
  const [asks, setAsks] = useState(false);
  const t = texts.policies;
  const members = membersOf(policy.encoder, encoders);
  const fault = faultOf(policy, encoders, isAdmin);
  const deleteIt = async () => {
    await deleteAlias(policy.id);
    await refresh();
  };
  return html`<li class="card" data-policy=${policy.id}>
    <h2>${policy.id}</h2>
    ${policy.encoder && html`<p class="note">${t.points(policy.encoder)}</p>`}
    ${fault && html`<p class="why">${fault}</p>`}
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
  const [taken, setTaken] = useState(null);
  const [before] = useState(() => membersOf(policy.encoder, encoders));
  const [chosen, setChosen] = useState(before);
  const gone = [...new Set([...before, ...chosen])].filter((id) => !single.some((one) => one.id === id));
  const toggle = (id) =>
    setChosen(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  const run = async () => {
    if (!policy.id) {
      await refresh(); // it may have been made elsewhere
      if (studio.state.aliases.some((one) => one.id === name)) return setTaken(name);
    }
    const fitting = encoders.find((one) => isSet(one, chosen));
    if (fitting) {
      await point(name, fitting.id);
      say("calm", t.switched(name, fitting.id));
      await refresh();
    } else {
      const set = await compose(freeId(name, encoders), chosen);
      pointLater(name, set.id, policy.encoder);
    }
    onClose();
  };
  return html`<div class="card edit">
    <h2>${policy.id || t.new}</h2>
    ${!policy.id &&
    html`<${NameField}
      label=${t.name}
      help=${t.nameHelp}
      error=${taken === name && t.exists(name)}
      value=${name}
      onInput=${setName}
    />`}
    <fieldset>
      <legend>${t.set}</legend>
      <div class="chips">
        ${gone.map(
          (id) =>
            html`<label class="chip" key=${id}>
              <input type="checkbox" checked=${chosen.includes(id)} onChange=${() => toggle(id)} />
              ${id} <span class="note">${t.lost}</span>
            </label>`,
        )}
        ${single.map(
          (one) =>
            html`<label class="chip" key=${one.id}>
              <input type="checkbox" checked=${chosen.includes(one.id)} onChange=${() => toggle(one.id)} />
              ${one.id}${" "}
              <span class="note">${one.concepts.map((concept) => concept.name).join(", ")}</span>
            </label>`,
        )}
      </div>
    </fieldset>
    <div class="actions">
      <${Action} kind="main" disabled=${!chosen.length || !name} about=${[name, ...chosen].join()} run=${run}>
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
