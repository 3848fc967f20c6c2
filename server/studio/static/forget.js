import { html } from "./view.js"; export const ForgetView = () => html`<p>…</p>`;
