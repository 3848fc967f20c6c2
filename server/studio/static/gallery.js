import { html } from "./view.js"; export const GalleryView = () => html`<p>…</p>`;
