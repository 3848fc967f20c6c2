// Encoders: cards of what each has forgotten, and what can be done with them.
import { post } from "./api.js";
import { EncoderCard } from "./encoder-card.js";
import { useStore } from "./store.js";
import { follow, jobs } from "./stream.js";
import { hand, refresh, studio } from "./studio.js";
import { texts } from "./texts.js";
import { Action, Dialog, Field, NameField } from "./ui.js";
import { html, useState } from "./view.js";

const MOST_COMPARED = 4;

export function EncodersView() {
  const { encoders, aliases, abilities, state } = useStore(studio);
  const byId = useStore(jobs, ({ byId }) => byId);
  const [selected, setSelected] = useState([]);
  const [wanted, setWanted] = useState("");
  const [composes, setComposes] = useState(false);
  const isAdmin = abilities.caller.role === "admin";
  const making = Object.values(byId).filter(
    (job) => job.object === "encoder" && !encoders.some((one) => one.id === job.id),
  );
  const all = [...making, ...encoders].map((one) =>
    one.status === "published" ? one : (byId[one.id] ?? one),
  );
  const shown = all.filter((one) => textOf(one, aliases).includes(wanted.toLowerCase()));
  const chosen = selected.filter((id) => all.some((one) => one.id === id && one.usable));
  const compared = [...(abilities.caller.base ? [texts.base] : []), ...chosen].slice(0, MOST_COMPARED);
  const toggle = (id) =>
    setSelected(selected.includes(id) ? selected.filter((one) => one !== id) : [...selected, id]);
  return html`<section>
    <h1>${texts.encoders.title}</h1>
    <p class="lead">${all.length || state !== "ready" ? texts.encoders.lead : texts.encoders.none}</p>
    <div class="row tools">
      <${Field} label=${texts.encoders.filter} type="search" value=${wanted} onInput=${setWanted} />
      ${isAdmin && html`<a class="button" href="#/forget">${texts.encoders.make}</a>`}
      <span class="grow"></span>
      <button disabled=${!chosen.length} onClick=${() => hand("try", { chosen: compared })}>
        ${chosen.length ? texts.encoders.compareMany(chosen.length) : texts.encoders.compare}
      </button>
      ${isAdmin &&
      html`<button disabled=${chosen.length < 2} onClick=${() => setComposes(true)}>
        ${chosen.length > 1 ? texts.encoders.composeMany(chosen.length) : texts.encoders.compose}
      </button>`}
    </div>
    <ul class="cards">
      ${shown.map(
        (encoder) =>
          html`<${EncoderCard}
            key=${encoder.id}
            encoder=${encoder}
            all=${all}
            aliases=${aliases}
            isAdmin=${isAdmin}
            selected=${selected.includes(encoder.id)}
            onSelect=${() => toggle(encoder.id)}
          />`,
      )}
    </ul>
    ${composes && html`<${Compose} names=${chosen} onClose=${() => setComposes(false)} />`}
  </section>`;
}

const textOf = (encoder, aliases) =>
  [
    encoder.id,
    ...encoder.concepts.map(({ name }) => name),
    ...aliases.filter((one) => one.encoder === encoder.id).map((one) => one.id),
  ]
    .join(" ")
    .toLowerCase();

/** Ask for a composite of published encoders; it is judged as a set. Return its object. */
export async function compose(id, names) {
  const encoder = await post("v1/encoders", { id, compose: names });
  follow(encoder);
  return encoder;
}

function Compose({ names, onClose }) {
  const [id, setId] = useState(names.join("-").slice(0, 60));
  const run = async () => {
    await compose(id, names);
    await refresh();
    onClose();
  };
  return html`<${Dialog} title=${texts.encoders.composeTitle(names.join(", "))} onClose=${onClose}>
    <p>${texts.encoders.composeHelp}</p>
    <${NameField} label=${texts.encoders.composeId} value=${id} onInput=${setId} />
    <${Action} kind="main" disabled=${!id} about=${id} run=${run}>${texts.encoders.composeNow}<//>
  <//>`;
}
