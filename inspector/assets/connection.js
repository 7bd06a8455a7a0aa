// One connection.
import { bytes, clock, count, h, perSecond, reasonChip, seconds, setText, stateChip } from "./lib.js";
import { actions } from "./connections.js";
import { plot } from "./plot.js";

const stages = ["opening", "open", "flushing", "closing", "closed"];
const span = 120e3; // milliseconds of the plot

export function connection(app, params) {
  const id = params.get("id") ?? "";
  const title = h("h1", { class: "mono" }, "…"), chips = h("span"), buttons = h("span", { class: "row" });
  const steps = h("ol", { class: "steps" }, stages.map((s) => h("li", {}, h("i"), s)));
  const missing = h("div", { class: "card empty", hidden: true });
  const traffic = plot("Traffic", [{ name: "read", of: (p) => p.readRate }, { name: "written", of: (p) => p.writeRate }], perSecond, 64);
  const queue = plot("Buffered", [{ name: "bytes", of: (p) => p.buffered }], bytes, 64);
  const panel = (name) => {
    const list = h("dl");
    return { card: h("section", { class: "card" }, h("div", { class: "head" }, h("h2", {}, name)), h("div", { class: "body" }, list)), list };
  };
  const queues = panel("Bytes"), work = panel("Handler"), end = panel("End"), who = panel("Identity");
  const plots = h("div", { class: "plots" }, traffic.card, queue.card);
  const content = h("div", { class: "panels" }, plots, h("div", { class: "cards" }, queues.card, work.card, end.card, who.card));
  const points = [];
  let acted = "";

  return {
    nodes: [h("section", { class: "card" }, h("div", { class: "head" }, title, chips, h("span", { class: "grow" }), buttons), h("div", { class: "body" }, steps)), missing, content],
    async refresh() {
      let c;
      try {
        c = await app.get("connection", { id });
      } catch (e) {
        if (e.status !== 404) throw e;
        missing.hidden = false;
        content.hidden = true;
        setText(missing, e.message);
        setText(title, id);
        return;
      }
      setText(title, c.remote || c.id);
      chips.replaceChildren(...stateChip(c), c.reason ? " " : "", c.reason ? reasonChip(c.reason) : "");
      const may = `${app.canAct()}${c.paused}${c.state}`;
      if (may !== acted) {
        acted = may;
        buttons.replaceChildren(...[actions(app, c)].flat());
      }
      [...steps.children].forEach((li, n) => { li.className = n < stages.indexOf(c.state) ? "past" : n === stages.indexOf(c.state) ? "now" : ""; });
      const now = Date.now();
      const ended = c.state === "closed";
      if (!ended || points.length > 0) points.push({ time: now, ...c });
      plots.hidden = points.length === 0;
      work.card.hidden = ended;
      while (points[0]?.time < now - span) points.shift();
      const from = Math.min(points[0]?.time ?? now, now - span / 2);
      traffic.draw(points, from, now);
      queue.draw(points, from, now);
      fill(queues.list, [
        !ended && ["Queued for the kernel", bytes(c.queuedBytes), c.limits && [c.queuedBytes, c.limits.writeBuffer]],
        !ended && ["Queued writes", count(c.queuedWrites), c.limits && [c.queuedWrites, c.limits.writeQueue]],
        ["Unread by the handler", bytes(c.unread), c.limits && [c.unread, c.limits.readBuffer]],
        ["Read so far", bytes(c.read)], ["Written so far", bytes(c.written)],
        c.unsent > 0 && ["Unsent", bytes(c.unsent)],
        c.droppedWrites > 0 && ["Dropped", `${count(c.droppedWrites)} writes, ${bytes(c.dropped)}`],
      ]);
      fill(work.list, [
        ["Call under way", c.handlerFor > 0 ? `for ${seconds(c.handlerFor)}` : "none seen"],
        ...(c.handler ? [["Calls timed, one of 16", count(c.handler.calls)], ["Time of a call, mean", seconds(c.handler.mean)], ["Longest call", seconds(c.handler.longest)],
          ["Time in them", seconds(c.handler.total)]] : [["Time of calls", "not measured: see berth.Measure"]]),
        ["Replaced after panics", count(c.restarts)],
      ]);
      fill(end.list, [
        ["Reason", c.reason ? reasonChip(c.reason) : "it has not ended"],
        ["Last error", c.error ? h("span", { class: "error" }, c.error) : "none"],
        c.closed && ["Ended at", clock(c.closed.time)],
      ]);
      fill(who.list, [
        ["Age", seconds(Math.floor(c.age) || c.age)], ["Client", h("code", {}, c.remote || "–")], c.local && ["Local address", h("code", {}, c.local)],
        ["Actor", h("code", {}, c.id)], ["Writer", h("code", {}, c.writer)],
        ["Server", h("code", {}, app.overview().servers[c.server]?.addr || app.overview().servers[c.server]?.pid)],
        c.tls && ["TLS", `${c.tls.version}, ${c.tls.cipher}${c.tls.alpn ? `, ${c.tls.alpn}` : ""}`],
        c.tls?.serverName && ["Server name", c.tls.serverName], c.tls?.peer && ["Client certificate", c.tls.peer],
        c.limits?.idle > 0 && ["IdleTimeout", seconds(c.limits.idle)], c.limits?.read > 0 && ["ReadTimeout", seconds(c.limits.read)],
        c.limits?.maxAge > 0 && ["MaxAge", seconds(c.limits.maxAge)],
      ]);
    },
  };
}

// fill writes terms and what they mean, with a meter where there is a limit.
function fill(list, lines) {
  list.replaceChildren(...lines.filter(Boolean).flatMap(([term, what, meter]) => {
    const [value, limit] = meter ?? [];
    const parts = [h("dt", {}, term), h("dd", {}, what, limit > 0 ? h("span", { class: "soft" }, ` of ${typeof what === "string" && what.endsWith("B") ? bytes(limit) : count(limit)}`) : "")];
    if (limit > 0) {
      const fill = h("i");
      fill.style.width = `${Math.min(100, 100 * value / limit)}%`;
      parts.push(h("div", { class: `meter ${value / limit > .8 ? "high" : ""}` }, fill));
    }
    return parts;
  }));
}
