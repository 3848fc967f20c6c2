// The form of Try: prompt, encoders, seed, and the rest within the model's limits.
import { ApiError, post } from "./api.js";
import { nameOf, randomSeed } from "./models.js";
import { texts } from "./texts.js";
import { Action, Field, Notice } from "./ui.js";
import { classes, html, useEffect, useState } from "./view.js";

const TYPING_MS = 200;
const NUMBERS = ["steps", "guidance", "frames", "fps"];
const FOLDED = [...NUMBERS, "size", "negative_prompt"];

export function TryForm({ form, chosen, most, abilities, models, error, onChange, onMake }) {
  const of = (param) => (error?.param === param ? error.message : null);
  const setMore = (name, value) => onChange({ more: { ...form.more, [name]: value } });
  const submit = (event) => {
    const sends = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (sends && chosen.length && form.prompt.trim()) onMake();
  };
  return html`<div class="form" onKeyDown=${submit}>
    <div class="prompting">
      <${Field}
        label=${texts.try.prompt}
        error=${of("prompt")}
        wide
        area
        class="prompt"
        rows="2"
        maxlength=${abilities.max_prompt_chars}
        value=${form.prompt}
        onInput=${(prompt) => onChange({ prompt })}
      />
      <${Tokens} prompt=${form.prompt} />
      <div class="chips" role="group" aria-label=${texts.try.examples}>
        ${abilities.examples.map(
          (example) =>
            html`<button type="button" class="chip" onClick=${() => onChange({ prompt: example })}>
              ${example}
            </button>`,
        )}
      </div>
    </div>
    <fieldset>
      <legend>${texts.try.encoders}</legend>
      <${Choice}
        models=${models}
        chosen=${chosen}
        most=${most}
        onChange=${(names) => onChange({ chosen: names })}
      />
    </fieldset>
    <div class="row">
      <${Field}
        label=${texts.try.seed}
        error=${of("seed")}
        class="seed"
        type="number"
        min="0"
        value=${form.seed}
        onInput=${(seed) => onChange({ seed: seed ?? 0 })}
      />
      <button
        type="button"
        class="plain dice"
        aria-label=${texts.try.dice}
        title=${texts.try.dice}
        onClick=${() => onChange({ seed: randomSeed() })}
      >
        ⚄
      </button>
      <span class="grow"></span>
      <${Action} kind="main" disabled=${!chosen.length || !form.prompt.trim()} run=${onMake}>
        ${chosen.length ? texts.try.make(chosen.length) : texts.try.choose}
      <//>
    </div>
    <${Notice} error=${["prompt", "seed", ...FOLDED].includes(error?.param) ? null : error} />
    <details open=${FOLDED.includes(error?.param) || undefined}>
      <summary>${texts.try.more}</summary>
      <div class="grid">
        ${NUMBERS.map(
          (name) =>
            html`<${Field}
              label=${texts.try[name]}
              help=${texts.try.bounds(abilities[name])}
              error=${of(name)}
              type="number"
              min=${abilities[name].least}
              max=${abilities[name].most}
              step=${name === "guidance" ? "0.5" : "1"}
              placeholder=${abilities[name].default}
              value=${form.more[name] ?? ""}
              onInput=${(value) => setMore(name, value)}
            />`,
        )}
        <${Field}
          label=${texts.try.size}
          error=${of("size")}
          options=${abilities.sizes.map((size) => [size, size])}
          value=${form.more.size ?? abilities.default_size}
          onInput=${(size) => setMore("size", size)}
        />
        <${Field}
          label=${texts.try.negative}
          error=${of("negative_prompt")}
          wide
          value=${form.more.negative_prompt ?? ""}
          onInput=${(text) => setMore("negative_prompt", text)}
        />
      </div>
    </details>
  </div>`;
}

/** The encoders to choose from, the base first if the key may use it. */
function Choice({ models, chosen, most, onChange }) {
  const isFull = chosen.length >= most;
  const toggle = (name) =>
    onChange(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return html`<div class="chips choice">
      ${models.map((model) => {
        const name = nameOf(model);
        const isAlias = model.parent && model.encoder !== name;
        const on = chosen.includes(name);
        return html`<label class=${classes("chip", !model.usable && "off")} key=${name}>
          <input
            type="checkbox"
            checked=${on}
            disabled=${!model.usable || (isFull && !on)}
            onChange=${() => toggle(name)}
          />
          ${name}
          ${isAlias && html`<span class="note">${texts.alias(model.encoder)}</span>`}
          ${!model.usable && html`<span class="note">${texts.unusable}</span>`}
        </label>`;
      })}
    </div>
    ${isFull && html`<p class="note">${texts.try.most}</p>`}`;
}

/** How the model reads the prompt, asked for while it is typed. */
function Tokens({ prompt }) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setFound(await post("v1/prompts/check", { prompt }, { signal: abort.signal }));
      } catch (error) {
        if (error instanceof ApiError) setFound(null);
      }
    }, TYPING_MS);
    return () => (clearTimeout(timer), abort.abort());
  }, [prompt]);
  if (!found) return html`<p class="tokens note">${" "}</p>`;
  const inPieces = found.words.filter((word) => word.tokens > 2);
  return html`<p class="tokens note" role="status">
    <span class=${!found.fits && "bad"}>${texts.try.tokens(found.tokens, found.max_prompt_tokens)}</span>
    ${!found.fits && html` · <span class="bad">${texts.try.cut(found.kept)}</span>`}
    ${inPieces.length > 0 &&
    html` · <span>
      ${texts.try.pieces(inPieces.map((word) => texts.try.piecesOf(word.text, word.tokens)).join(", "))}
    </span>`}
  </p>`;
}
