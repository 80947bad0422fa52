"""How the page looks beyond what Gradio's theme says."""

CSS = """
.gradio-container { max-width: 1280px !important; width: 100%; margin: auto; }
.watch .preview, .watch .blank, .comparison {
  width: 100%; border-radius: 8px; background: var(--background-fill-secondary);
}
.watch .preview { display: block; max-height: 72vh; object-fit: contain; }
.watch .blank { aspect-ratio: 4 / 3; }
.watch .status { margin: 10px 0 6px; font-variant-numeric: tabular-nums; }
.watch progress { width: 100%; height: 10px; appearance: none; border: none; }
.watch progress::-webkit-progress-bar { border-radius: 5px;
  background: var(--background-fill-secondary); }
.watch progress::-webkit-progress-value { border-radius: 5px;
  background: var(--color-accent); }
.watch progress::-moz-progress-bar { background: var(--color-accent); }
#grid-panel .watch, #batch-panel .watch { max-width: 420px; }
.video .pair img { max-height: 240px; object-fit: contain; }
.curves { margin: 8px 0 0; }
.curves svg { width: 100%; height: 90px; background: var(--background-fill-secondary);
  border-radius: 8px; }
.curves polyline { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
.curves figcaption { font-size: 0.85em; color: var(--body-text-color-subdued); }
.curves figcaption span { margin-right: 12px; }
.curves figcaption span::before { content: "\\2014\\00a0"; font-weight: bold; }
.curves .total { stroke: #c2410c; }
.curves .content { stroke: #2563eb; }
.curves .style { stroke: #15803d; }
.curves span.total::before { color: #c2410c; }
.curves span.content::before { color: #2563eb; }
.curves span.style::before { color: #15803d; }
.comparison { position: relative; overflow: hidden; line-height: 0; }
.comparison img { width: 100%; max-height: 72vh; object-fit: contain; }
.comparison .before { position: absolute; inset: 0; height: 100%;
  clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.comparison::after { content: ""; position: absolute; top: 0; bottom: 0;
  left: calc(var(--at) - 1px); width: 2px; background: white;
  box-shadow: 0 0 3px black; pointer-events: none; }
.comparison .name { position: absolute; top: 8px; line-height: 1.4; padding: 0 8px;
  border-radius: 6px; background: rgb(0 0 0 / 0.6); color: white; font-size: 0.85em;
  pointer-events: none; }
.comparison .left { left: 8px; }
.comparison .right { right: 8px; }
.comparison input { position: absolute; inset: auto 0 0 0; width: 100%; height: 44px;
  margin: 0; opacity: 0.85; cursor: ew-resize; accent-color: var(--color-accent); }
.pair { display: flex; flex-wrap: wrap; gap: 12px; }
.pair figure { flex: 1 1 200px; margin: 0; }
.pair img { width: 100%; border-radius: 8px; }
.result:not(:has(img)) { display: none; }
.said:not(:has(p)):not(:has(figure)) { display: none; }
.samples .grid-container { grid-template-columns: repeat(auto-fill, minmax(76px, 1fr));
  gap: 6px; }
.samples .grid-wrap, .painted .grid-wrap { min-height: 0; max-height: none; }
.samples .thumbnail-item { aspect-ratio: 1; }
.samples .caption-label { display: none; }
/* Above the first picture, not over it. */
:is(.samples, .painted) label[data-testid="block-label"] { position: static;
  display: inline-flex; }
.painted .grid-container { grid-template-columns:
  repeat(auto-fill, minmax(140px, 1fr)); gap: 8px; }
@media (min-width: 900px) {
  .stays { position: sticky; top: 12px; align-self: flex-start; }
}
/* Within reach of a thumb, wherever the page is. */
@media (max-width: 899px) {
  .controls { position: fixed; inset: auto 0 0 0; z-index: 40; flex-wrap: nowrap;
    padding: 10px 14px calc(10px + env(safe-area-inset-bottom));
    background: var(--body-background-fill);
    border-top: 1px solid var(--border-color-primary); }
  .controls button { min-width: 0; }
  .gradio-container { padding-bottom: 84px !important; }
  /* What is painted comes before what was filled in, once there is something. */
  .stays:has(.watch) { task: -1; }
  .stays:has(.comparison) { task: -1; }
  .stays:has(video) { task: -1; }
}
.wrong { color: var(--error-text-color); font-weight: 600; margin: 4px 0; }
.notice { margin: 4px 0; }
.facts { width: 100%; font-size: 0.9em; }
.facts caption { text-align: left; font-weight: 600; overflow-wrap: anywhere; }
.facts th { text-align: left; font-weight: 400; padding-right: 12px;
  color: var(--body-text-color-subdued); white-space: nowrap; vertical-align: top; }
.facts td { overflow-wrap: anywhere; }
"""
