// The connections that ended last, with their reasons.
import { bytes, clock, count, h, reasonChip, seconds } from "./lib.js";
import { later, pager, rows } from "./rows.js";

const limit = 50;

export function closed(app, params) {
  const q = { filter: params.get("filter") ?? "", reason: params.get("reason") ?? "", offset: Number(params.get("offset") ?? 0) };
  const change = (news) => {
    Object.assign(q, { offset: 0 }, news);
    app.go("closed", { ...q, offset: q.offset || "" }, true);
    refresh();
  };
  const columns = [
    { title: "Ended", key: (c) => c.time, make: (c) => clock(c.time) },
    { title: "Client", key: (c) => c.id, make: (c) => h("a", { class: "mono", href: `#/connection?${new URLSearchParams({ id: c.id })}` }, c.remote || c.id) },
    { title: "Reason", key: (c) => c.reason, make: (c) => reasonChip(c.reason) },
    { title: "Error", class: "wrap", key: (c) => c.error ?? "", make: (c) => c.error ? h("span", { class: "error" }, c.error) : h("span", { class: "soft" }, "–") },
    { title: "Read", class: "num", key: (c) => c.read, make: (c) => bytes(c.read) },
    { title: "Written", class: "num", key: (c) => c.written, make: (c) => bytes(c.written) },
    { title: "Unsent", class: "num", key: (c) => c.unsent, make: (c) => bytes(c.unsent) },
    { title: "Age", class: "num", key: (c) => c.age, make: (c) => seconds(c.age) },
  ];
  const table = rows(columns, (c) => c.id);
  const empty = h("div", { class: "empty", hidden: true }, "No connection has ended since the inspector began.");
  const pages = pager(limit, (offset) => change({ offset }));
  const filter = h("input", { type: "search", placeholder: "Filter by address, actor id or error", "aria-label": "Filter", value: q.filter });
  filter.addEventListener("input", later(() => change({ filter: filter.value.trim() })));
  const chips = h("div", { class: "row" });
  let asked = 0, drawn = "";

  async function refresh() {
    const mine = ++asked;
    const answer = await app.get("closed", { ...q, limit });
    if (mine !== asked) return;
    table.set(answer.rows);
    pages.set(answer.offset, answer.rows.length, answer.total);
    empty.hidden = answer.total > 0;
    const now = JSON.stringify([answer.reasons, q.reason]);
    if (now !== drawn) {
      drawn = now;
      chips.replaceChildren(...Object.entries(answer.reasons).sort((a, b) => b[1] - a[1]).map(([reason, n]) =>
        h("button", { type: "button", class: `chip ${q.reason === reason ? "on" : ""}`, "aria-pressed": String(q.reason === reason),
          onclick: () => change({ reason: q.reason === reason ? "" : reason }) }, reason, h("b", {}, count(n)))));
    }
  }

  return {
    nodes: [h("section", { class: "card" }, h("div", { class: "row filters" }, filter, chips),
      h("div", { class: "scroll" }, h("table", { id: "closed" }, h("thead", {}, h("tr", {}, columns.map((c) => h("th", { class: c.class, scope: "col" }, c.title)))), table.body)), empty, pages.bar)],
    refresh,
  };
}
