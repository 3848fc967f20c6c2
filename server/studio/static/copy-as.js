// A request as text: for curl, for the openai client, for the command line.
import { address, key } from "./api.js";
import { texts } from "./texts.js";
import { html, useState } from "./view.js";

const NAMES = ["curl", "openai", "palimpsest"];
const KEY_VARIABLE = "PALIMPSEST_API_KEY";

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Return a video's request as a command or a program. Keys are named by a variable, never shown. */
export function requestAs(kind, { prompt, model, ...rest }) {
  const base = address("").replace(/\/$/, "");
  if (kind === "curl") {
    const body = JSON.stringify({ prompt, model, ...rest });
    const bearer = key.get() ? ` \\\n  -H "Authorization: Bearer $${KEY_VARIABLE}"` : "";
    return `curl ${shell(`${base}/v1/videos`)}${bearer} \\\n  -H 'Content-Type: application/json' \\\n  -d ${shell(body)}`;
  }
  if (kind === "openai") {
    const { size, ...more } = rest;
    const given = { prompt, model, ...(size && { size }) };
    const fields = Object.entries(given).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    const extra = Object.keys(more).length ? [`extra_body=${JSON.stringify(more)}`] : [];
    const secret = key.get() ? `os.environ["${KEY_VARIABLE}"]` : '"none"';
    return `${key.get() ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url="${base}/v1", api_key=${secret})
video = client.videos.create_and_poll(
    ${[...fields, ...extra].join(",\n    ")},
)
client.videos.download_content(video.id).write_to_file("clip.mp4")`;
  }
  const encoder = model.split(":")[1] ?? "base";
  const options = Object.entries({ encoder, ...rest }).map(
    ([name, value]) => `--${name.replaceAll("_", "-")} ${shell(String(value))}`,
  );
  return `palimpsest generate ${shell(prompt)} \\\n  --server ${shell(base)} ${options.join(" ")} -o clip.mp4`;
}

/** The requests of the form, one of which can be copied. */
export function CopyAs({ requests }) {
  const [kind, setKind] = useState(NAMES[0]);
  const [number, setNumber] = useState(0);
  const [copied, setCopied] = useState(false);
  const chosen = requests[Math.min(number, requests.length - 1)];
  if (!chosen) return null;
  const text = requestAs(kind, chosen);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return html`<details class="copy">
    <summary>${texts.try.copy} …</summary>
    <div class="row">
      ${NAMES.map(
        (name) =>
          html`<label class="chip">
            <input type="radio" name="copy" checked=${name === kind} onChange=${() => setKind(name)} />
            ${name}
          </label>`,
      )}
      ${requests.length > 1 &&
      html`<select
        aria-label=${texts.views.encoders}
        value=${number}
        onChange=${(event) => setNumber(Number(event.target.value))}
      >
        ${requests.map((one, i) => html`<option value=${i}>${one.model}</option>`)}
      </select>`}
      <button class="small" onClick=${copy}>${texts.try.copyOne(kind)}</button>
      <span role="status" class="note">${copied && texts.try.copied}</span>
    </div>
    <pre tabindex="0">${text}</pre>
  </details>`;
}
