// Totals, plots, servers.
import { bytes, count, decimal, h, perSecond, reasonChip, seconds, setText } from "./lib.js";
import { plot } from "./plot.js";

const minutes = 10;

export function overview(app) {
  const tile = (label) => {
    const value = h("strong", {}, "–"), note = h("small");
    return { card: h("div", { class: "card tile" }, h("label", {}, label), value, note), set(v, n = "") { setText(value, v); setText(note, n); note.title = n; } };
  };
  const tiles = {
    open: tile("Connections"), accepted: tile("Clients"), read: tile("Read"), written: tile("Written"),
    queued: tile("Write queues"), lag: tile("Loop lag"), memory: tile("Memory"),
  };
  const plots = [
    [plot("Connections", [{ name: "open", of: (p) => p.open }], count, 4)],
    [plot("Clients per second", [
      { name: "accepted", of: (p) => p.accepted }, { name: "refused", of: (p) => p.refused }, { name: "ended", of: (p) => p.ended }], decimal, 4)],
    [plot("Traffic", [{ name: "read", of: (p) => p.read }, { name: "written", of: (p) => p.written }], perSecond, 1024)],
    [plot("Write queues", [{ name: "queued", of: (p) => p.queued }, { name: "budget in use", of: (p) => p.buffered }], bytes, 1024)],
    [plot("Lag", [{ name: "event loops", of: (p) => p.loopLag }, { name: "Go scheduler, 99%", of: (p) => p.schedulerLag }], seconds, 1e-4)],
    [plot("Memory", [{ name: "heap", of: (p) => p.heap }, { name: "from the system", of: (p) => p.memory }], bytes, 1 << 20)],
  ].flat();
  const warnings = h("section", { class: "card warnings", hidden: true });
  const servers = h("div", { class: "servers" });
  const cards = new Map();
  let points = [];

  return {
    nodes: [
      h("div", { class: "tiles" }, Object.values(tiles).map((t) => t.card)), warnings,
      h("div", { class: "plots" }, plots.map((p) => p.card)), servers,
    ],
    async refresh() {
      const o = app.overview(), after = points.at(-1)?.time ?? 0;
      const news = await app.get("history", { after });
      const oldest = Date.now() - minutes * 60e3 - 5e3;
      points = points.concat(news.points).filter((p) => p.time > oldest);
      const to = points.at(-1)?.time ?? Date.now();
      const from = Math.max(to - minutes * 60e3, Math.min(points[0]?.time ?? to, to - 60e3));
      for (const p of plots) p.draw(points, from, to);
      showTiles(tiles, o, points.at(-1));
      showWarnings(warnings, o.warnings ?? []);
      for (const s of o.servers) {
        if (!cards.has(s.index)) {
          cards.set(s.index, serverCard(app, s));
          servers.append(cards.get(s.index).card);
        }
        cards.get(s.index).set(s);
      }
    },
  };
}

function showTiles(tiles, o, p) {
  const sum = (of) => o.servers.reduce((n, s) => n + (of(s) ?? 0), 0);
  const most = sum((s) => s.kind === "listener" ? Math.max(0, s.maxConnections) : 0);
  tiles.open.set(count(o.open), most > 0 ? `of ${count(most)} at most` : "no limit");
  tiles.memory.set(bytes(p?.heap), `${count(p?.goroutines)} goroutines`);
  tiles.accepted.set(`${decimal(p?.accepted ?? 0)}/s`, `${count(sum((s) => s.accepted))} so far`);
  tiles.read.set(perSecond(p?.read), `${bytes(sum((s) => s.read))} so far`);
  tiles.written.set(perSecond(p?.written), `${bytes(sum((s) => s.written))} so far`);
  tiles.queued.set(bytes(sum((s) => s.queuedBytes)), `in ${count(sum((s) => s.queuedWrites))} writes`);
  tiles.lag.set(seconds(p?.loopLag), `scheduler ${seconds(p?.schedulerLag)}`);
}

function showWarnings(card, warnings) {
  card.hidden = warnings.length === 0;
  card.replaceChildren(h("div", { class: "head" }, h("h2", {}, "Warnings")), h("div", { class: "body" }, h("ul", {}, warnings.slice(0, 12).map((w) =>
    h("li", {}, h("b", {}, w.kind), w.remote ? [" · ", w.id ? h("a", { href: `#/connection?${new URLSearchParams({ id: w.id })}` }, w.remote) : w.remote] : "",
      w.for ? ` · for ${seconds(w.for)}` : "", " ", h("span", { class: "soft" }, w.advice)))), warnings.length > 12 && h("p", { class: "soft" }, `and ${warnings.length - 12} more`)));
}

const states = ["opening", "open", "flushing", "closing"];

function serverCard(app, first) {
  const accepting = h("span", { class: "chip" });
  const button = h("button", { type: "button", class: "small", hidden: true });
  const stack = h("div", { class: "stack" });
  const legend = h("div", { class: "row soft" });
  const list = h("dl", { class: "facts" });
  const ended = h("div", { class: "row" });
  let now = first;
  button.addEventListener("click", () => app.act(now.accepting ? "server/suspend" : "server/resume", { server: now.index },
    now.accepting ? "accepting is suspended" : "accepting again"));
  const card = h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", {}, first.kind === "dialer" ? "Dialer" : "Listener ", first.addr && h("code", {}, first.addr)), accepting, h("span", { class: "grow" }), button),
    h("div", { class: "body" }, stack, legend, list, h("div", { class: "row" }, h("span", { class: "soft" }, "Ended so far:"), ended)));
  return {
    card,
    set(s) {
      now = s;
      accepting.hidden = !s.suspendable;
      accepting.className = `chip ${s.accepting ? "good" : "warn"}`;
      setText(accepting, s.accepting ? "accepting" : "suspended");
      button.hidden = !(s.suspendable && app.canAct());
      setText(button, s.accepting ? "Suspend" : "Resume");
      stack.replaceChildren(...states.filter((n) => s.byState[n]).map((n) => {
        const part = h("i", { class: `fill-${n}`, title: `${n}: ${s.byState[n]}` });
        part.style.flexGrow = s.byState[n];
        return part;
      }));
      setText(legend, states.filter((n) => s.byState[n]).map((n) => `${count(s.byState[n])} ${n}`).join(" · ") || "no connections");
      const refusals = Object.entries(s.refused).filter(([, n]) => n > 0);
      const lines = [
        ["Open", `${count(s.open)}${s.maxConnections > 0 && s.kind === "listener" ? ` of ${count(s.maxConnections)}` : ""}`],
        ["Clients accepted", count(s.accepted)],
        ["Refused", refusals.length ? [count(refusals.reduce((sum, [, n]) => sum + n, 0)), h("small", {}, refusals.map(([why, n]) => `${count(n)} ${why}`).join(", "))] : "0"],
        ["Read", bytes(s.read)], ["Written", bytes(s.written)],
        ["Queued", `${bytes(s.queuedBytes)} in ${count(s.queuedWrites)} writes`],
        s.waiting > 0 && ["Clients that wait for a permit", count(s.waiting)],
        s.acceptErrors > 0 && ["Failed accepts", count(s.acceptErrors)],
        s.detached > 0 && ["Detached", count(s.detached)],
        s.lingering > 0 && ["Wait for the peer's FIN", count(s.lingering)],
        s.paused > 0 && ["Paused", count(s.paused)],
        s.full > 0 && ["Write queue above high water", count(s.full)],
        s.throttled > 0 && ["Throttled by the memory budget", count(s.throttled)],
        s.overBudget > 0 && ["Writes refused by the memory budget", count(s.overBudget)],
        s.handOvers > 0 && ["Hand-overs between event loops", count(s.handOvers)],
      ].filter(Boolean);
      list.replaceChildren(...lines.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text))));
      const reasons = Object.entries(s.ended).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
      ended.replaceChildren(...(reasons.length ? reasons.map(([why, n]) => {
        const chip = reasonChip(why);
        chip.append(h("b", {}, count(n)));
        return chip;
      }) : [h("span", { class: "soft" }, "none")]));
    },
  };
}
