// One encoder: what it forgets, its verdict with intervals, its marks, and what can be done.
import { api, messageOf, remove } from "./api.js";
import { ago, count, duration, interval, percent } from "./format.js";
import { ReportButtons } from "./report.js";
import { useStore } from "./store.js";
import { drop, isPending } from "./stream.js";
import { hand, refresh, studio } from "./studio.js";
import { point } from "./switching.js";
import { texts } from "./texts.js";
import { Action, Confirm, Dialog, NameField, Progress } from "./ui.js";
import { classes, html, useEffect, useState } from "./view.js";

export function EncoderCard({ encoder, all, aliases, isAdmin, selected, onSelect }) {
  const [asks, setAsks] = useState(null);
  const t = texts.encoders;
  const isPublished = encoder.status === "published";
  const sets = all.filter((one) => one.members.some((member) => member.id === encoder.id));
  const own = aliases.filter((one) => one.encoder === encoder.id);
  const names = encoder.concepts.map(({ name }) => name);
  const close = () => setAsks(null);
  return html`<li class=${classes("card", encoder.status)} data-encoder=${encoder.id}>
    <header>
      ${encoder.usable &&
      html`<input
        type="checkbox"
        checked=${selected}
        aria-label=${t.select(encoder.id)}
        onChange=${onSelect}
      />`}
      <h2>${names.join(", ") || texts.making.pictures}</h2>
    </header>
    <p class="note">
      ${encoder.id}${encoder.members.length > 0 && ` · ${texts.set(encoder.members.length)}`}
      ${encoder.completed_at && ` · ${t.made(ago(encoder.completed_at))}`}
    </p>
    <${Verdict} encoder=${encoder} />
    <${Facts} encoder=${encoder} aliases=${own} sets=${sets} />
    <div class="actions">
      ${encoder.usable &&
      html`<button class="small" onClick=${() => hand("try", { chosen: [texts.base, encoder.id] })}>
        ${t.try}
      </button>`}
      ${isPublished && encoder.judged && html`<${ReportButtons} encoder=${encoder} />`}
      ${!isPublished &&
      html`<a class="button small" href=${`#/forget/${encoder.id}`}>${texts.making.look}</a>`}
      ${isAdmin &&
      isPublished &&
      html`<button class="small" onClick=${() => setAsks("alias")}>${t.alias}</button>`}
      ${isAdmin &&
      html`<button class="small" onClick=${() => setAsks("delete")}>
        ${isPending(encoder) ? texts.cancel : t.delete}
      </button>`}
    </div>
    ${asks === "alias" && html`<${PointAlias} encoder=${encoder} onClose=${close} />`}
    ${asks === "delete" &&
    html`<${Delete} encoder=${encoder} aliases=${aliases} sets=${sets} onClose=${close} />`}
  </li>`;
}

function Delete({ encoder, aliases, sets, onClose }) {
  const [isUsed, setUsed] = useState(false); // by a set that came after the dialog, or is damaged
  const t = texts.encoders;
  const users = [encoder, ...sets].map(({ id }) => id);
  const policies = aliases.filter((one) => users.includes(one.encoder));
  const listed = (found) => found.map(({ id }) => id).join(", ");
  useEffect(() => void refresh().catch(() => {}), []); // others may have come to use it
  const run = async () => {
    try {
      const force = sets.length > 0 || isUsed || undefined;
      await remove(api`v1/encoders/${encoder.id}`, { force });
    } catch (error) {
      if (error.code === "encoder_in_use") {
        setUsed(true);
        await refresh();
      }
      throw error;
    }
    drop(encoder.id);
    await refresh();
  };
  return html`<${Confirm}
    title=${`${t.delete} ${encoder.id}`}
    why=${[
      t.deleteWhy,
      sets.length > 0 && t.deleteSet(listed(sets)),
      policies.length > 0 && t.deletePolicies(listed(policies), policies.length),
    ]}
    ask=${t.deleteType(encoder.id)}
    word=${encoder.id}
    action=${t.deleteNow}
    run=${run}
    onClose=${onClose}
  />`;
}

/** The verdict in a word, and bars of what is forgotten and kept. */
export function Verdict({ encoder }) {
  const t = texts.encoders;
  const { measures, status } = encoder;
  if (isPending(encoder)) {
    const left = encoder.estimated_seconds_left;
    return html`<p class="verdict">
        ${texts.making.phases[encoder.phase] ?? texts.making.waiting}
        ${left != null && html` <span class="note">${texts.making.left(duration(left))}</span>`}
      </p>
      <${Progress} value=${encoder.progress} label=${t.verdicts.making} />`;
  }
  const isFailed = status === "failed";
  const word = isFailed ? "failed" : encoder.usable ? "passed" : "unusable";
  const tier = measures.gate?.tier;
  if (!encoder.judged && !isFailed) {
    return html`<p class="verdict">
      ${encoder.phase === "judging" ? t.verdicts.judging : encoder.usable ? t.notJudged : t.verdicts.unusable}
    </p>`;
  }
  return html`<p class=${classes("verdict", word === "passed" ? "good" : "bad")}>
      ${t.verdicts[word]}
      ${tier && html` <span class="note">${t.tier(tier)}</span>`}
    </p>
    ${isFailed && encoder.error && html`<p class="why">${messageOf(encoder.error)}</p>`}
    ${measures.forget_n > 0 &&
    html`<${Bar}
      label=${t.forgotten}
      rate=${measures.forget_rate}
      ends=${measures.forget_interval}
      n=${measures.forget_n}
      limit=${measures.gate?.min_forget_rate}
    />`}
    ${measures.retain_n > 0 &&
    html`<${Bar}
      label=${t.kept}
      rate=${measures.retain_rate}
      ends=${measures.retain_interval}
      n=${measures.retain_n}
      more=${t.base(percent(measures.base_retain_rate))}
    />`}`;
}

/** A rate with its 95 % interval, and the limit of the gate. */
function Bar({ label, rate, ends, n, limit, more }) {
  const at = (share) => `${(100 * share).toFixed(1)}%`;
  return html`<div class="bar">
    <span class="note">${label}</span>
    <span class="rate">${percent(rate)}</span>
    <span
      class="track"
      role="img"
      aria-label=${`${label}: ${percent(rate)}, ${interval(ends)}`}
    >
      <span class="span" style=${{ left: at(ends[0]), width: at(ends[1] - ends[0]) }}></span>
      <span class="dot" style=${{ left: at(rate) }}></span>
      ${limit > 0 && html`<span class="limit" style=${{ left: at(limit) }}></span>`}
    </span>
    <span class="note">${interval(ends)} ${texts.encoders.of(count(n))}${more && `, ${more}`}</span>
  </div>`;
}

function Facts({ encoder, aliases, sets }) {
  const t = texts.encoders;
  const marks = [
    encoder.signed && t.signed,
    encoder.audit && t.audit[encoder.audit.state],
    encoder.parent && t.parent(encoder.parent),
  ].filter(Boolean);
  const lists = [
    [t.members, encoder.members],
    [t.aliases, aliases],
    [t.policies, sets],
  ].filter(([, found]) => found.length);
  return html`${marks.length > 0 &&
    html`<ul class="marks">
      ${marks.map((mark) => html`<li class=${mark === t.audit.failed && "bad"}>${mark}</li>`)}
    </ul>`}
    ${lists.map(
      ([label, found]) =>
        html`<p class="note list">${label}: ${found.map(({ id }) => id).join(", ")}</p>`,
    )}`;
}

function PointAlias({ encoder, onClose }) {
  const aliases = useStore(studio, ({ aliases }) => aliases);
  const [name, setName] = useState("");
  const t = texts.encoders;
  useEffect(() => void refresh().catch(() => {}), []); // it may have been moved elsewhere
  const now = aliases.find((one) => one.id === name && one.encoder !== encoder.id)?.encoder;
  const run = async () => {
    await point(name, encoder.id);
    await refresh();
    onClose();
  };
  return html`<${Dialog} title=${texts.alias(encoder.id)} onClose=${onClose}>
    <${NameField}
      label=${t.aliasName}
      help=${texts.policies.nameHelp}
      value=${name}
      onInput=${setName}
    />
    <p role="status">${now && t.aliasMoves(name, now, encoder.id)}</p>
    <${Action} kind="main" disabled=${!name} about=${name} run=${run}>${now ? t.aliasMove : t.aliasSet}<//>
  <//>`;
}
