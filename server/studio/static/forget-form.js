// The form of Forget: concept, names, pictures, and the gate in words.
import { post } from "./api.js";
import { synonymsOf } from "./forget.js";
import { percent } from "./format.js";
import { sift } from "./pictures.js";
import { texts } from "./texts.js";
import { Action, Drop, Field, NameField, Notice } from "./ui.js";
import { html, useEffect, useRef, useState } from "./view.js";

const FIELDS = ["concept", "kind", "synonyms", "id", "images"];

export function ForgetForm({ form, suggested, abilities, error, onChange, onStart }) {
  const t = texts.forget;
  const fault = error?.param?.split(".")[0]; // "synonyms" of "synonyms.3"
  const of = (param) => (fault === param ? error.message : null);
  const set = (name) => (value) => onChange({ [name]: value });
  const known = abilities.concepts[form.kind] ?? {};
  const choose = (concept, kind) =>
    onChange({ concept, kind, synonyms: abilities.concepts[kind][concept].join(", ") });
  return html`<div class="form">
    <div class="pair-of-fields">
      <${Field}
        label=${t.concept}
        help=${t.conceptHelp}
        error=${of("concept")}
        class="large"
        list="concepts"
        autocomplete="off"
        value=${form.concept}
        onInput=${set("concept")}
      />
      <${Field}
        label=${t.kind}
        error=${of("kind")}
        class="large"
        options=${Object.entries(t.kinds)}
        value=${form.kind}
        onInput=${set("kind")}
      />
      <datalist id="concepts">${Object.keys(known).map((name) => html`<option>${name}</option>`)}</datalist>
    </div>
    <div class="chips" role="group" aria-label=${t.known}>
      ${Object.keys(known).map(
        (name) =>
          html`<button type="button" class="chip" onClick=${() => choose(name, form.kind)}>${name}</button>`,
      )}
    </div>
    <${Field}
      label=${t.synonyms}
      help=${t.synonymsHelp}
      error=${of("synonyms")}
      wide
      value=${form.synonyms}
      onInput=${set("synonyms")}
    />
    ${form.concept.trim() && html`<${Ways} form=${form} onChange=${onChange} />`}
    <${Images} images=${form.images} limits=${abilities} error=${of("images")} onChange=${onChange} />
    <${Strictness} form=${form} abilities=${abilities} error=${error} onChange=${onChange} />
    <${NameField}
      label=${t.id}
      help=${t.idHelp(suggested)}
      error=${of("id")}
      value=${form.id}
      placeholder=${suggested}
      onInput=${set("id")}
    />
    <${Notice} error=${error && !FIELDS.includes(fault) ? error : null} />
    <div class="row act">
      <${Action} kind="main" disabled=${!form.concept.trim() && !form.images.length} run=${onStart}>
        ${t.start}
      <//>
    </div>
  </div>`;
}

/** Phrases that draw the concept without its name: looked for when asked, since it takes a while. */
function Ways({ form, onChange }) {
  const t = texts.forget;
  const [found, setFound] = useState(null);
  const [looks, setLooks] = useState(false);
  useEffect(() => setFound(null), [form.concept, form.kind]);
  const names = synonymsOf(form.synonyms);
  const look = async () => {
    setLooks(true);
    try {
      const body = { concept: form.concept.trim(), kind: form.kind, synonyms: names };
      setFound(await post("v1/encoders/ways", body));
    } finally {
      setLooks(false);
    }
  };
  const toggle = (phrase) => {
    const others = names.filter((one) => one !== phrase);
    const changed = others.length < names.length ? others : [...names, phrase];
    onChange({ synonyms: changed.join(", ") });
  };
  return html`<div class="ways">
    <${Action} kind="small" about=${`${form.concept}, ${form.synonyms}`} run=${look}>${t.ways}<//>
    <p class="note" role="status">
      ${looks && t.waysLooking}
      ${found && (found.ways.length ? t.waysFound(found.pictures) : t.waysNone(found.pictures))}
    </p>
    ${found &&
    html`<div class="chips">
      ${found.ways.map(
        (way) =>
          html`<label class="chip" key=${way.phrase}>
            <input
              type="checkbox"
              checked=${names.includes(way.phrase)}
              onChange=${() => toggle(way.phrase)}
            />
            ${way.phrase} <span class="note">${t.waysShare(percent(way.rate))}</span>
          </label>`,
      )}
    </div>`}
  </div>`;
}

function Images({ images, limits, error, onChange }) {
  const t = texts.forget;
  const [faults, setFaults] = useState([]);
  const now = useRef();
  now.current = images;
  useEffect(() => () => (now.current = null), []);
  const add = async (files) => {
    const found = await sift(files, now.current, limits);
    if (!now.current) return; // the form is gone, and may be another key's by now
    setFaults(found.faults);
    if (found.taken.length) onChange({ images: [...now.current, ...found.taken] });
  };
  return html`<div>
    <${Drop}
      label=${t.drop}
      help=${t.dropMore(limits.max_images)}
      accept="image/png,image/jpeg,image/webp"
      multiple
      onFiles=${add}
    />
    ${faults.length > 0 &&
    html`<${Notice} onClose=${() => setFaults([])}>${faults.map((text) => html`<p>${text}</p>`)}<//>`}
    ${error && html`<${Notice}>${error}<//>`}
    ${images.length > 0 &&
    html`<ul class="thumbs">
      ${images.map((file) => html`<${Thumb} key=${file} file=${file} onRemove=${() => onChange({ images: images.filter((one) => one !== file) })} />`)}
    </ul>`}
  </div>`;
}

function Thumb({ file, onRemove }) {
  const [url, setUrl] = useState(null);
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return html`<li>
    <img src=${url ?? undefined} alt=${file.name} />
    <button class="plain" aria-label=${texts.forget.removeImage(file.name)} onClick=${onRemove}>×</button>
  </li>`;
}

/** The gate: a tier in words, and its numbers folded away. */
function Strictness({ form, abilities, error, onChange }) {
  const t = texts.forget;
  const tier = form.tier || abilities.default_tier;
  const own = abilities.tiers[tier] ?? {};
  const choose = (name) => onChange({ tier: name, gate: {} });
  return html`<fieldset>
    <legend>${t.strict}</legend>
    <div class="tiers">
      ${Object.entries(t.tiers).map(
        ([name, [title, meaning]]) =>
          html`<label class="tier" key=${name}>
            <input type="radio" name="tier" checked=${tier === name} onChange=${() => choose(name)} />
            <strong>${title}</strong>
            <span class="note">
              ${meaning}${name === abilities.default_tier && ` ${t.serverTier}`}
            </span>
          </label>`,
      )}
    </div>
    <details>
      <summary>${t.numbers}</summary>
      <div class="grid">
        ${Object.entries(t.measures).map(
          ([name, label]) =>
            html`<${Field}
              label=${label}
              error=${error?.param === `gate.${name}` ? error.message : null}
              type="number"
              min="0"
              step=${name === "max_probes" ? 1 : 0.01}
              placeholder=${own[name] ?? ""}
              value=${form.gate[name] ?? ""}
              onInput=${(value) => onChange({ tier, gate: { ...form.gate, [name]: value } })}
            />`,
        )}
      </div>
    </details>
  </fieldset>`;
}
