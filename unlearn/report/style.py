"""How the report looks: on a screen, light or dark, and on paper. Nothing is loaded for it."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #faf6ec; --card: #fffdf7; --ink: #2b2620; --soft: #6d6353; --line: #ddd2ba;
  --accent: #7a3b12; --good: #2f6540; --bad: #a3221b; --track: #e9e0cb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #1a1713; --card: #221e19; --ink: #ebe3d3; --soft: #a99e8a; --line: #3c352b;
    --accent: #e0a070; --good: #8fc79f; --bad: #f08a80; --track: #352f26;
  }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --accent: #7a3b12; --good: #1f5530; --bad: #a3221b; --track: #e4e4e4;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 4rem 1.5rem 6rem; max-width: 62rem;
  font: 17px/1.6 Georgia, "Iowan Old Style", "Times New Roman", serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word;
}
h1, h2, h3 { font-weight: 400; line-height: 1.2; text-wrap: balance; }
h1 { font-size: 2.6rem; letter-spacing: -.01em; margin: .4rem 0 1rem; }
h2 { font-size: 1.65rem; margin: 4rem 0 .6rem; padding-top: 1.2rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p, ul, ol { max-width: 42rem; margin: .7rem 0; }
a { color: var(--accent); text-underline-offset: .15em; }
.said { unicode-bidi: isolate; }
.kicker, .label, th, figcaption, .verdict, .note, dt {
  font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
.kicker { font-size: .78rem; letter-spacing: .12em; text-transform: uppercase;
  color: var(--accent); }
.lead { font-size: 1.3rem; line-height: 1.5; max-width: 46rem; }
.note { font-size: .84rem; line-height: 1.5; color: var(--soft); }
code { font: .82em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1px;
  margin: 2.4rem 0 0; background: var(--line); border: 1px solid var(--line); }
.figures > div { background: var(--card); padding: 1.1rem 1.3rem 1.2rem; }
.figures dt { font-size: .84rem; color: var(--soft); }
.figures dd { margin: 0; }
.figures .big { font-size: 2.5rem; line-height: 1.25; font-variant-numeric: lining-nums; }
.figures .note { margin: 0; }

.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr));
  gap: 1.6rem; margin: 1.6rem 0; }
.pair { margin: 0; padding: 1rem 1.1rem 1.1rem; background: var(--card);
  border: 1px solid var(--line); break-inside: avoid; }
.pair.clip { grid-column: 1 / -1; }
.pair.failed { border-color: var(--bad); }
.prompt { font: 1.06rem/1.4 Georgia, serif; color: var(--ink); display: block; margin: 0; }
.pair .note { margin: .1rem 0 .8rem; }
.halves { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.half { margin: 0; min-width: 0; }
.label { font-size: .78rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft);
  margin: 0 0 .35rem; }
.half img { display: block; width: 100%; height: auto; border: 1px solid var(--line); }
.half .strip { margin-top: .5rem; }
.verdict { font-size: .86rem; line-height: 1.45; margin: .5rem 0 0; }
.verdict .good { color: var(--good); } .verdict .bad { color: var(--bad); font-weight: 600; }
.clip .halves { gap: 1.6rem; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1.2rem 0; font-size: .95rem; }
caption { text-align: left; font-size: .9rem; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .55rem 1.1rem .55rem 0;
  border-bottom: 1px solid var(--line); }
th { font-size: .82rem; font-weight: 600; line-height: 1.5; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums lining-nums; }
.counts { display: block; font-weight: 400; color: var(--soft); max-width: 26rem; }
table.facts th { width: 13rem; font-weight: 500; color: var(--soft); }

svg text { font: 12px system-ui, -apple-system, "Segoe UI", Arial, sans-serif; fill: var(--soft); }
.chart { display: block; width: 100%; max-width: 46rem; height: auto; margin: 1.2rem 0; }
.grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.end { fill: var(--accent); }
.interval { width: 9rem; height: 1rem; display: block; margin-top: .25rem; }
.track { fill: var(--track); } .bar { fill: var(--accent); opacity: .55; }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.4; }

.cannot { counter-reset: item; list-style: none; padding: 0; max-width: none; display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 1.4rem 2.4rem; }
.cannot li { break-inside: avoid; }
.cannot strong { display: block; font-weight: 400; font-size: 1.12rem; color: var(--accent); }
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem; }

@media (prefers-reduced-motion: reduce) { .half .moving { display: none; } }
@media print {
  @page { margin: 16mm; }
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  h1 { font-size: 26pt; } h2 { margin-top: 2rem; break-after: avoid; } h3 { break-after: avoid; }
  tr, .figures > div, svg { break-inside: avoid; }
  a { color: inherit; text-decoration: none; }
  th, td { padding-top: .3rem; padding-bottom: .3rem; }
  footer table { font-size: 7pt; } footer th { white-space: nowrap; font-size: inherit; }
  .half .moving { display: none; }
  .pairs { grid-template-columns: 1fr 1fr; gap: 1rem; }
  .clip .halves { grid-template-columns: 1fr; gap: .6rem; }
  .bar, .track, .half img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
@media (max-width: 40rem) {
  body { padding-top: 2rem; font-size: 16px; } h1 { font-size: 2rem; }
  .clip .halves { grid-template-columns: 1fr; }
  .interval { display: none; }
}
"""
