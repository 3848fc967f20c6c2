// One video of the gallery: a thumbnail that plays when it is hovered or focused.
import { api, blob } from "./api.js";
import { moment } from "./format.js";
import { objectUrl, save } from "./media.js";
import { encoderOf } from "./models.js";
import { isPending } from "./stream.js";
import { hand } from "./studio.js";
import { texts } from "./texts.js";
import { Action, Dialog, Progress } from "./ui.js";
import { Player } from "./player.js";
import { html, useEffect, useRef, useState } from "./view.js";

export function GalleryItem({ video, onDelete }) {
  const [opens, setOpens] = useState(false);
  const t = texts.gallery;
  const prompt = video.prompt ?? t.noPrompt;
  return html`<li class="item" data-video=${video.id} data-status=${video.status}>
    <button class="open" aria-label=${t.open(prompt)} onClick=${() => setOpens(true)}>
      ${video.status === "completed"
        ? html`<${Moving} video=${video} />`
        : html`<span class="still">
            <span class="note">${texts.status[video.status]}</span>
            ${isPending(video) && html`<${Progress} value=${video.progress} label=${prompt} />`}
          </span>`}
    </button>
    <p>${prompt}</p>
    <p class="note">${encoderOf(video.model)}</p>
    ${opens && html`<${Details} video=${video} onDelete=${onDelete} onClose=${() => setOpens(false)} />`}
  </li>`;
}

/** A thumbnail, fetched once it is near the window; its sprite sheet once it is hovered. */
function Moving({ video }) {
  const element = useRef();
  const [still, setStill] = useState(null);
  const [sheet, setSheet] = useState(null);
  const [frame, setFrame] = useState(0);
  const [plays, setPlays] = useState(false);
  const path = api`v1/videos/${video.id}/content`;
  useEffect(() => {
    const watch = new IntersectionObserver(
      ([entry]) => {
        if (!entry.isIntersecting) return;
        watch.disconnect();
        objectUrl(path, { variant: "thumbnail" }).then(setStill, () => {});
      },
      { rootMargin: "300px" },
    );
    watch.observe(element.current);
    return () => watch.disconnect();
  }, [path]);
  useEffect(() => {
    if (!plays) return;
    let timer = 0;
    let wanted = true;
    objectUrl(path, { variant: "spritesheet" }).then((url) => {
      if (!wanted) return;
      setSheet(url);
      timer = setInterval(() => setFrame((now) => (now + 1) % video.frames), 1000 / video.fps);
    }, () => {});
    return () => ((wanted = false), clearInterval(timer), setFrame(0));
  }, [plays]);
  const columns = Math.ceil(Math.sqrt(video.frames));
  const rows = Math.ceil(video.frames / columns);
  const at = (place, of) => (of > 1 ? `${(100 * place) / (of - 1)}%` : "0");
  const moving = plays && sheet;
  const style = moving
    ? {
        backgroundImage: `url(${sheet})`,
        backgroundSize: `${100 * columns}% ${100 * rows}%`,
        backgroundPosition: `${at(frame % columns, columns)} ${at(Math.floor(frame / columns), rows)}`,
      }
    : still && { backgroundImage: `url(${still})` };
  return html`<span
    ref=${element}
    class="still"
    data-playing=${moving ? frame : undefined}
    style=${{ aspectRatio: video.size.replace("x", " / "), ...style }}
    onMouseEnter=${() => setPlays(true)}
    onMouseLeave=${() => setPlays(false)}
  ></span>`;
}

function Details({ video, onDelete, onClose }) {
  const t = texts.gallery;
  const [asks, setAsks] = useState(false);
  const name = encoderOf(video.model);
  const { prompt, seed, steps, guidance, frames, fps, size, negative_prompt } = video;
  const again = () =>
    hand("try", {
      prompt: prompt ?? "",
      seed,
      chosen: [name],
      more: { steps, guidance, frames, fps, size, ...(negative_prompt && { negative_prompt }) },
    });
  const download = async () =>
    save(await blob(api`v1/videos/${video.id}/content`), `${video.id}.mp4`);
  return html`<${Dialog} title=${prompt ?? t.noPrompt} onClose=${onClose}>
    <${Player} clips=${[{ name, video, cancel: () => onDelete(video.id) }]} />
    <p class="note">
      ${t.facts(video)}${video.expires_at && ` · ${t.expires(moment(video.expires_at))}`}
    </p>
    <div class="actions">
      <button onClick=${again}>${t.again}</button>
      ${video.status === "completed" && html`<${Action} run=${download}>${t.download}<//>`}
      ${asks
        ? html`<span class="note">${t.deleteSure}</span>
            <${Action} kind="danger" run=${() => onDelete(video.id)}>${t.delete}<//>
            <button onClick=${() => setAsks(false)}>${t.keep}</button>`
        : html`<button onClick=${() => setAsks(true)}>${t.delete}</button>`}
    </div>
  <//>`;
}
