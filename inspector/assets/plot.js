// Lines over time.
import { clock, h, setText, svg } from "./lib.js";

const shared = new Set(); // the plots on the page, which show one cross

// plot makes a card with one line for each series ({name, of}). least is the smallest top of the
// axis. draw(points, from, to) draws points that have a time in milliseconds.
export function plot(title, series, format, least = 1) {
  const values = series.map(() => h("b"));
  const picture = svg("svg", { role: "img", "aria-label": title });
  const when = h("span", { class: "soft" });
  const card = h("section", { class: "card plot" },
    h("div", { class: "head" }, h("h2", {}, title), when),
    h("div", { class: "legend" }, series.map((s, n) => h("span", { class: `s${n}` }, s.name, " ", values[n]))),
    h("div", { class: "body" }, picture));
  let points = [], from = 0, to = 0, cross = null;
  const left = 0, bottom = 20, top = 6;

  function draw() {
    const width = picture.clientWidth || 400, height = picture.clientHeight || 148;
    const base = height - bottom;
    let most = least;
    for (const p of points) for (const s of series) most = Math.max(most, s.of(p) ?? 0);
    most = ceiling(most);
    const x = (time) => left + (time - from) / Math.max(1, to - from) * (width - left);
    const y = (value) => base - (value ?? 0) / most * (base - top);
    const parts = [];
    for (const share of [0, .5, 1]) {
      const at = Math.round(y(most * share)) + .5;
      parts.push(svg("line", { class: "grid", x1: left, x2: width, y1: at, y2: at }));
      if (share > 0) parts.push(svg("text", { x: 2, y: at + 12 }, format(most * share)));
    }
    for (const share of [0, .5, 1]) {
      parts.push(svg("text", { x: left + share * (width - left), y: height - 4, "text-anchor": ["start", "middle", "end"][share * 2] },
        clock(from + share * (to - from))));
    }
    series.forEach((s, n) => {
      if (points.length < 2) return;
      const line = points.map((p) => `${x(p.time).toFixed(1)} ${y(s.of(p)).toFixed(1)}`).join("L");
      if (n === 0) {
        parts.push(svg("path", { class: `area s${n}`, d: `M${x(points[0].time).toFixed(1)} ${base}L${line}L${x(points.at(-1).time).toFixed(1)} ${base}Z` }));
      }
      parts.push(svg("path", { class: `s${n}`, d: `M${line}` }));
    });
    const at = cross === null ? points.at(-1) : nearest(points, from + (cross - left / width) * (to - from));
    if (cross !== null && at) parts.push(svg("line", { class: "cross", x1: x(at.time), x2: x(at.time), y1: top, y2: base }));
    picture.replaceChildren(...parts);
    series.forEach((s, n) => setText(values[n], at ? format(s.of(at) ?? 0) : ""));
    setText(when, cross !== null && at ? clock(at.time) : "");
  }

  const me = { set cross(share) { cross = share; draw(); }, card };
  picture.addEventListener("mousemove", (e) => {
    const box = picture.getBoundingClientRect();
    for (const p of shared) if (p.card.isConnected) p.cross = (e.clientX - box.left) / box.width; else shared.delete(p);
  });
  picture.addEventListener("mouseleave", () => { for (const p of shared) p.cross = null; });
  shared.add(me);
  return { card, draw(p, f, t) { points = p; from = f; to = t; draw(); } };
}

function nearest(points, time) {
  let best = null;
  for (const p of points) if (!best || Math.abs(p.time - time) < Math.abs(best.time - time)) best = p;
  return best;
}

// ceiling is the next round number, of a power of two from 1024 on, as bytes are shown so.
function ceiling(n) {
  if (n >= 1024) {
    const unit = 1024 ** Math.floor(Math.log(n) / Math.log(1024));
    return ceiling(n / unit) * unit;
  }
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 4, 5, 8, 10].find((f) => f * unit >= n * .999) * unit;
}
