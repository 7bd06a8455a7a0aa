// A table whose rows are kept: a row of the same key is updated and moved, not made again, so that
// focus, hover and selection stay. And the controls of its pages.
import { count, h } from "./lib.js";

// rows makes a tbody. columns are {class, make(item) → content, key(item) → what content depends on}.
export function rows(columns, keyOf) {
  const body = h("tbody");
  const known = new Map();
  return {
    body,
    set(items) {
      const seen = new Set();
      let at = body.firstElementChild;
      for (const item of items) {
        const key = keyOf(item);
        seen.add(key);
        let row = known.get(key);
        if (!row) {
          row = { tr: h("tr", { "data-id": key }), cells: columns.map((c) => h("td", { class: c.class })), was: [] };
          row.tr.append(...row.cells);
          known.set(key, row);
        }
        columns.forEach((column, n) => {
          const key = String(column.key(item));
          if (row.was[n] !== key) {
            row.was[n] = key;
            row.cells[n].replaceChildren(...[column.make(item)].flat().filter((c) => c !== null && c !== undefined && c !== false));
          }
          if (column.part) row.cells[n].style.setProperty("--part", column.part(item).toFixed(1));
        });
        if (row.tr === at) at = at.nextElementSibling;
        else body.insertBefore(row.tr, at);
      }
      for (const [key, row] of known) {
        if (!seen.has(key)) {
          row.tr.remove();
          known.delete(key);
        }
      }
    },
  };
}

export function pager(limit, turn) {
  const text = h("span", { class: "soft" });
  const back = h("button", { type: "button", class: "small" }, "← Previous"), next = h("button", { type: "button", class: "small" }, "Next →");
  const first = h("button", { type: "button", class: "small" }, "First");
  let offset = 0, total = 0;
  back.addEventListener("click", () => turn(Math.max(0, offset - limit)));
  next.addEventListener("click", () => turn(offset + limit));
  first.addEventListener("click", () => turn(0));
  return {
    bar: h("div", { class: "row pager" }, text, h("span", { class: "grow" }), first, back, next),
    set(o, shown, t) {
      offset = o; total = t;
      text.textContent = total === 0 ? "" : `${count(o + 1)} to ${count(o + shown)} of ${count(t)}`;
      first.disabled = back.disabled = o === 0;
      next.disabled = o + shown >= t;
    },
  };
}

// later calls f once typing has stopped.
export function later(f, wait = 250) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(f, wait); };
}

export function select(label, options, value, changed) {
  const e = h("select", { "aria-label": label, onchange: () => changed(e.value) }, options.map(([v, text]) => h("option", { value: v }, text)));
  e.value = value;
  return e;
}
