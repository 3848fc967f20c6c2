// The player: clips of one prompt and seed beside each other, or one wiped over another.
import { api, messageOf } from "./api.js";
import { Clock } from "./clock.js";
import { useFile } from "./media.js";
import { isPending } from "./stream.js";
import { texts } from "./texts.js";
import { Action, Progress } from "./ui.js";
import { html, useEffect, useMemo, useRef, useState } from "./view.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Clips in step.
 *
 * @param clips `{name, video, error, cancel}` of each; `video` is the API's object, or null
 */
export function Player({ clips }) {
  const any = clips.find(({ video }) => video)?.video;
  const frames = any?.frames ?? 1;
  const fps = any?.fps ?? 8;
  const [, setShown] = useState(0);
  const clock = useMemo(() => new Clock(frames, fps, () => setShown((n) => n + 1)), [frames, fps]);
  useEffect(() => {
    if (!still.matches) clock.play();
    return () => clock.close();
  }, [clock]);
  const made = clips.filter(({ video }) => video?.status === "completed");
  const [wipes, setWipes] = useState(false);
  const isWiping = wipes && made.length > 1;
  const element = useRef();
  useEffect(() => {
    if (isWiping) element.current.scrollIntoView({ block: "nearest" }); // it may be higher
  }, [isWiping]);
  const onKey = (event) => {
    if (event.target.closest("input, select, textarea, button")) return;
    if (event.key === " ") clock.playing ? clock.pause() : clock.play();
    else if (event.key === "ArrowLeft") clock.seek(clock.frame - 1);
    else if (event.key === "ArrowRight") clock.seek(clock.frame + 1);
    else return;
    event.preventDefault();
  };
  return html`<div
    ref=${element}
    class="player"
    style=${{ "--shape": shapeOf(any), "--count": isWiping ? 2 : clips.length }}
    role="group"
    aria-label=${texts.try.result}
    tabindex="0"
    onKeyDown=${onKey}
  >
    ${isWiping
      ? html`<${Wipe} clips=${made} clock=${clock} />`
      : html`<div class="clips">
          ${clips.map((clip) => html`<${ClipFigure} ...${clip} key=${clip.name} clock=${clock} />`)}
        </div>`}
    ${clips.some(({ video }) => video?.status === "completed" || isPending(video)) &&
    html`<${Controls}
      clock=${clock}
      disabled=${!made.length}
      mode=${made.length > 1 &&
      html`<label class="switch">
        <input type="checkbox" checked=${isWiping} onChange=${() => setWipes(!wipes)} />
        ${texts.player.wipe}
      </label>`}
    />`}
  </div>`;
}

const shapeOf = (video) => video?.size.replace("x", " / ") ?? "1";

function ClipFigure({ name, note, video, error, cancel, clock }) {
  const failure = error ?? video?.error;
  const isMade = video?.status === "completed";
  return html`<figure class="clip" data-encoder=${name} data-status=${video?.status ?? "failed"}>
    <figcaption>
      <span class="name">${name}</span>
      ${note && html`<span class="note">${note}</span>`}
    </figcaption>
    <div class="frame" style=${{ aspectRatio: shapeOf(video) }}>
      ${isMade && html`<${Clip} video=${video} name=${name} clock=${clock} />`}
      ${isPending(video) &&
      html`<div class="making">
        <span class="note" aria-live="polite">${texts.status[video.status]}</span>
        <${Progress} value=${video.progress} label=${`${name}: ${texts.status[video.status]}`} />
        <${Action} kind="small" run=${cancel} label=${texts.cancelOf(name)}>${texts.cancel}<//>
      </div>`}
      ${failure && html`<p class="making bad" role="alert">${messageOf(failure)}</p>`}
    </div>
  </figure>`;
}

/** One clip that follows the clock. */
function Clip({ video, name, clock }) {
  const url = useFile(api`v1/videos/${video.id}/content`);
  const poster = useFile(api`v1/videos/${video.id}/content`, { variant: "thumbnail" });
  const element = useRef();
  useEffect(() => (url ? clock.add(element.current) : undefined), [url, clock]);
  return html`<video
    ref=${element}
    src=${url ?? undefined}
    poster=${poster ?? undefined}
    muted
    playsinline
    disablepictureinpicture
    aria-label=${texts.player.clip(name, video.prompt ?? "")}
  ></video>`;
}

function Wipe({ clips, clock }) {
  const names = clips.map(({ name }) => name);
  const [pair, setPair] = useState([names[0], names[1]]);
  const [share, setShare] = useState(50);
  const [left, right] = pair.map((name, i) => clips.find((one) => one.name === name) ?? clips[i]);
  const choice = (side, label) =>
    html`<label>
      <span class="note">${label}</span>
      <select
        value=${[left, right][side].name}
        onChange=${(event) => setPair(pair.map((one, i) => (i === side ? event.target.value : one)))}
      >
        ${names.map((name) => html`<option>${name}</option>`)}
      </select>
    </label>`;
  return html`<div class="wipe">
    <div class="sides">${choice(0, texts.player.left)} ${choice(1, texts.player.right)}</div>
    <div class="stack" style=${{ "--share": `${share}%`, aspectRatio: shapeOf(left.video) }}>
      <${Clip} ...${right} key=${`r${right.video.id}`} clock=${clock} />
      <div class="over"><${Clip} ...${left} key=${`l${left.video.id}`} clock=${clock} /></div>
      <input
        type="range"
        min="0"
        max="100"
        value=${share}
        aria-label=${texts.player.wipeOver}
        onInput=${(event) => setShare(Number(event.target.value))}
      />
    </div>
  </div>`;
}

/** What moves the clips. It is there before them, so that it is in the window when they come. */
function Controls({ clock, disabled, mode }) {
  const { player } = texts;
  return html`<div class="controls">
    <button
      class="play"
      disabled=${disabled}
      aria-label=${clock.playing ? player.pause : player.play}
      onClick=${() => (clock.playing ? clock.pause() : clock.play())}
    >
      ${clock.playing ? "❚❚" : "►"}
    </button>
    <button aria-label=${player.back} disabled=${disabled} onClick=${() => clock.seek(clock.frame - 1)}>‹</button>
    <input
      type="range"
      min="0"
      max=${clock.frames - 1}
      value=${clock.frame}
      disabled=${disabled}
      aria-label=${player.frame}
      aria-valuetext=${player.frameOf(clock.frame + 1, clock.frames)}
      onInput=${(event) => clock.seek(Number(event.target.value))}
    />
    <button aria-label=${player.forth} disabled=${disabled} onClick=${() => clock.seek(clock.frame + 1)}>›</button>
    <span class="note count">${clock.frame + 1} / ${clock.frames}</span>
    <label class="switch">
      <input type="checkbox" checked=${clock.loops} disabled=${disabled} onChange=${() => clock.toggleLoop()} />
      ${player.loop}
    </label>
    ${mode}
  </div>`;
}
