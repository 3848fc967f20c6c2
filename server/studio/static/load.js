import { html } from "./view.js"; export const LoadView = () => html`<p>…</p>`;
