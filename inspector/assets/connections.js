// The table of connections. The server sorts, filters and cuts the page.
import { bytes, count, h, perSecond, seconds, stateChip } from "./lib.js";
import { later, pager, rows, select } from "./rows.js";

const limit = 50;

export function connections(app, params) {
  const q = {
    sort: params.get("sort") ?? "age", order: params.get("order") ?? "desc", filter: params.get("filter") ?? "", state: params.get("state") ?? "",
    server: params.get("server") ?? "", window: params.get("window") ?? "5", offset: Number(params.get("offset") ?? 0),
  };
  let asked = 0;
  const change = (news) => {
    Object.assign(q, { offset: 0 }, news);
    app.go("connections", { ...q, offset: q.offset || "" }, true);
    refresh();
  };
  let mostBuffered = 1, mostRate = 1;
  const columns = [
    { title: "Client", sort: "remote", key: (c) => c.remote + c.id, make: (c) => h("a", { class: "mono", href: `#/connection?${new URLSearchParams({ id: c.id })}` }, c.remote || c.id) },
    { title: "State", sort: "state", key: (c) => `${c.state}${c.paused}${c.throttled}`, make: stateChip },
    { title: "Read", sort: "read", class: "num", key: (c) => bytes(c.read), make: (c) => bytes(c.read) },
    { title: "Written", sort: "written", class: "num", key: (c) => bytes(c.written), make: (c) => bytes(c.written) },
    { title: "Rate", sort: "rate", class: "num bar", key: (c) => perSecond(c.readRate + c.writeRate), make: (c) => perSecond(c.readRate + c.writeRate),
      part: (c) => 100 * (c.readRate + c.writeRate) / mostRate },
    { title: "Buffered", sort: "buffered", class: "num bar", key: (c) => bytes(c.buffered), make: (c) => bytes(c.buffered), part: (c) => 100 * c.buffered / mostBuffered },
    { title: "Writes", class: "num", key: (c) => c.queuedWrites, make: (c) => count(c.queuedWrites) },
    { title: "Handler", sort: "handler", class: "num", key: (c) => handler(c), make: (c) => handler(c) },
    { title: "Age", sort: "age", class: "num", key: (c) => seconds(Math.floor(c.age) || c.age), make: (c) => seconds(Math.floor(c.age) || c.age) },
    { title: "", class: "actions", key: (c) => `${app.canAct()}${c.paused}${c.state}`, make: (c) => actions(app, c) },
  ];
  const heads = columns.map((c) => c.sort
    ? h("th", { class: (c.class ?? "").replace(" bar", ""), scope: "col", "data-sort": c.sort }, h("button", { type: "button", onclick: () => change({
        sort: c.sort, order: q.sort === c.sort ? (q.order === "desc" ? "asc" : "desc") : c.sort === "remote" ? "asc" : "desc" }) }, c.title))
    : h("th", { class: c.class, scope: "col" }, c.title));
  const table = rows(columns, (c) => c.id);
  const empty = h("div", { class: "empty", hidden: true });
  const pages = pager(limit, (offset) => change({ offset }));
  const filter = h("input", { type: "search", placeholder: "Filter by address or actor id", "aria-label": "Filter", value: q.filter });
  filter.addEventListener("input", later(() => change({ filter: filter.value.trim() })));
  const servers = h("span");

  async function refresh() {
    const mine = ++asked;
    const answer = await app.get("connections", { ...q, limit });
    if (mine !== asked) return; // a newer question is under way
    if (answer.rows.length === 0 && answer.total > 0 && q.offset > 0) return change({ offset: 0 });
    mostRate = Math.max(1, ...answer.rows.map((c) => c.readRate + c.writeRate));
    mostBuffered = Math.max(1, ...answer.rows.map((c) => c.buffered));
    table.set(answer.rows);
    pages.set(answer.offset, answer.rows.length, answer.total);
    empty.hidden = answer.total > 0;
    empty.textContent = q.filter || q.state || q.server ? "No connection matches." : "No connection is open.";
    for (const th of heads) {
      if (th.dataset.sort === q.sort) th.setAttribute("aria-sort", q.order === "desc" ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    const all = app.overview().servers;
    if (all.length > 1 && !servers.firstChild) {
      servers.append(select("Server", [["", "All servers"], ...all.map((s) => [String(s.index), `${s.kind} ${s.addr ?? ""}`])], q.server, (server) => change({ server })));
    }
  }

  return {
    nodes: [h("section", { class: "card" },
      h("div", { class: "row filters" }, filter,
        select("State", [["", "All states"], ...["opening", "open", "flushing", "closing", "paused", "throttled", "queued"].map((s) => [s, s === "queued" ? "with queued writes" : s])], q.state, (state) => change({ state })),
        servers,
        select("Rate over", [1, 2, 5, 10].map((s) => [String(s), `rate over ${s} s`]), q.window, (window) => change({ window }))),
      h("div", { class: "scroll" }, h("table", { id: "connections" }, h("thead", {}, h("tr", {}, heads)), table.body)), empty, pages.bar)],
    refresh,
  };
}

function handler(c) {
  if (c.handlerFor > 0) return `in a call for ${seconds(c.handlerFor)}`;
  return c.handler ? `${seconds(c.handler.mean)}` : "–";
}

export function actions(app, c) {
  if (!app.canAct() || c.state === "closed") return "";
  const button = (path, text, says, danger) => h("button", { type: "button", class: `small ${danger ? "danger" : ""}`, "data-act": path,
    onclick: () => app.act(`connection/${path}`, { id: c.id }, says) }, text);
  return [
    c.paused ? button("resume", "Resume", `${c.remote} is read again`) : button("pause", "Pause", `${c.remote} is paused`),
    button("close", "Close", `${c.remote} is closing`, true),
  ];
}
