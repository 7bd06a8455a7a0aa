// The tree of actors. Connections come a page at a time.
import { bytes, count, h, setText, stateChip } from "./lib.js";
import { later, pager } from "./rows.js";

const limit = 50;

export function tree(app, params) {
  const filter = h("input", { type: "search", placeholder: "Filter connections by address or actor id", "aria-label": "Filter", value: params.get("filter") ?? "" });
  filter.addEventListener("input", later(() => {
    for (const s of shown.values()) s.offset = 0;
    app.go("tree", { filter: filter.value.trim() }, true);
    refresh();
  }));
  const top = h("ul");
  const shown = new Map(); // by the server's index

  async function refresh() {
    for (const { index } of app.overview().servers) {
      const s = shown.get(index) ?? add(index);
      const answer = await app.get("tree", { server: index, offset: s.offset, limit, filter: filter.value.trim() });
      s.set(answer.servers[0]);
    }
  }

  function add(index) {
    const supervisor = h("span", { class: "node top" });
    const parent = h("span", { class: "node" });
    const list = h("ul", { class: "connections" });
    const pages = pager(limit, (offset) => { s.offset = offset; refresh(); });
    const known = new Map();
    const below = h("ul");
    const branch = h("li", {}, parent, list);
    top.append(h("li", { "data-server": index }, supervisor, below, pages.bar));
    const s = {
      offset: 0,
      set(t) {
        supervisor.replaceChildren(h("span", { class: "kind" }, "supervisor"), t.addr ? h("code", {}, t.addr) : t.kind, h("small", {}, t.pid));
        below.replaceChildren(...t.acceptors.map((id) => h("li", {}, h("span", { class: "node" }, h("span", { class: "kind" }, "acceptor"), h("small", {}, id)))), branch);
        parent.replaceChildren(h("span", { class: "kind" }, "connections"), h("span", { class: "chip info" }, count(t.total)), h("small", {}, t.connections));
        const seen = new Set();
        let at = list.firstElementChild;
        for (const c of t.children) {
          seen.add(c.id);
          let row = known.get(c.id);
          if (!row) known.set(c.id, row = node(c));
          row.set(c);
          if (row.li === at) at = at.nextElementSibling;
          else list.insertBefore(row.li, at);
        }
        for (const [id, row] of known) if (!seen.has(id)) { row.li.remove(); known.delete(id); }
        pages.set(s.offset, t.children.length, t.total);
        if (t.children.length === 0 && s.offset > 0) s.offset = 0;
      },
    };
    shown.set(index, s);
    return s;
  }

  return {
    nodes: [h("section", { class: "card" }, h("div", { class: "row filters" }, filter), h("div", { class: "body tree scroll", id: "tree" }, top))],
    refresh,
  };
}

function node(c) {
  const state = h("span"), queue = h("span"), short = c.id.split("/").at(-1);
  let was = "";
  const li = h("li", { "data-id": c.id }, h("span", { class: "pair" },
    h("span", { class: "node" }, h("span", { class: "kind" }, "connection"), h("a", { class: "mono", href: `#/connection?${new URLSearchParams({ id: c.id })}` }, c.remote || c.id),
      state, h("small", {}, short)),
    h("span", { class: "link" }),
    h("span", { class: "node writer" }, h("span", { class: "kind" }, "writer"), queue)));
  return {
    li,
    set(c) {
      const now = `${c.state}${c.paused}`;
      if (now !== was) { was = now; state.replaceChildren(...stateChip(c)); }
      setText(queue, c.queuedWrites > 0 ? `${count(c.queuedWrites)} writes, ${bytes(c.buffered)}` : "nothing queued");
    },
  };
}
