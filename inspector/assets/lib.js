// What all pages share: elements, numbers, requests, the token.

// h makes an element. Text becomes text nodes: nothing from a peer is ever read as HTML.
export function h(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name === "class") e.className = value;
    else if (name in e && typeof value !== "string") e[name] = value;
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

export function svg(tag, props = {}, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

// setText changes an element only where it has to.
export function setText(e, text) {
  text = String(text);
  if (e.textContent !== text) e.textContent = text;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
export function bytes(n) {
  if (!n) return "0 B";
  let u = 0;
  while (n >= 1024 && u < units.length - 1) { n /= 1024; u++; }
  return `${u === 0 || Number.isInteger(n) ? Math.round(n) : n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : Math.round(n)} ${units[u]}`;
}
export const perSecond = (n) => `${bytes(n)}/s`;
export const count = (n) => Math.round(n ?? 0).toLocaleString("en").replaceAll(",", "\u2009");
export function decimal(n) {
  return n === 0 ? "0" : n < 10 ? n.toFixed(1) : count(n);
}
export function seconds(s) {
  if (s === undefined || s === null) return "–";
  if (s === 0) return "0 s";
  if (s < 1e-6) return `${Math.round(s * 1e9)} ns`;
  if (s < 1e-3) return `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${(s * 1e3).toFixed(s < 1e-2 ? 1 : 0)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  const hours = Math.floor(m / 60);
  return hours < 48 ? `${hours} h ${String(m % 60).padStart(2, "0")} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

export function stateChip(c) {
  const colour = { opening: "info", open: "good", flushing: "warn", closing: "warn", closed: "" }[c.state] ?? "";
  const chips = [h("span", { class: `chip ${colour}` }, c.state)];
  if (c.paused) chips.push(" ", h("span", { class: "chip info" }, "paused"));
  if (c.throttled) chips.push(" ", h("span", { class: "chip warn" }, "throttled"));
  return chips;
}

export const orderly = ["peer closed", "closed", "shutdown", "max age"];
export function reasonChip(reason) {
  const mild = ["idle timeout", "read timeout", "half-close timeout", "peer reset", "aborted", "link down", "stopped"];
  const colour = orderly.includes(reason) ? "good" : mild.includes(reason) ? "warn" : "bad";
  return h("span", { class: `chip ${colour}` }, reason);
}

// Requests.

let token = sessionStorage.getItem("token") ?? "";
export const hasToken = () => token !== "";
export function setToken(text) {
  token = text;
  if (text) sessionStorage.setItem("token", text);
  else sessionStorage.removeItem("token");
}

export class Refused extends Error {
  constructor(status, says) {
    super(says);
    this.status = status;
  }
}

async function request(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(`api/${path}`, { ...options, headers, signal: AbortSignal.timeout(10000) });
  let body = {};
  try {
    body = await response.json();
  } catch {
    throw new Refused(response.status, `the server answered with status ${response.status}`);
  }
  if (!response.ok) throw new Refused(response.status, body.error);
  return body;
}

export function get(path, query = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== "" && value !== undefined) params.set(name, value);
  return request(`${path}?${params}`);
}

export const post = (path, query) => request(`${path}?${new URLSearchParams(query)}`, { method: "POST" });
