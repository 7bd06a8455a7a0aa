// The frame around the pages: which one is shown, when it is refreshed, the token, the actions.
import { count, get, hasToken, post, Refused, setText, setToken } from "./lib.js";
import { overview } from "./overview.js";
import { connections } from "./connections.js";
import { connection } from "./connection.js";
import { tree } from "./tree.js";
import { closed } from "./closed.js";

const every = 1000; // milliseconds from one refresh to the next
const main = document.getElementById("main");
const live = document.getElementById("live");
const lock = document.getElementById("lock");
const dialog = document.getElementById("token-dialog");
const toast = document.getElementById("toast");
const pages = { "": overview, connections, connection, tree, closed };

let page = null, timer = 0, running = true, round = 0;
const shared = { actions: false, overview: null };

// The hash is #/page?query. A page keeps its filters there, so that "back" and a copied address
// lead to the same rows.
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: pages[path] ? path : "", query: new URLSearchParams(query) };
}

export function go(name, query = {}, replace = false) {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== "" && value !== undefined && value !== null) params.set(key, value);
  const hash = `#/${name}${params.size ? `?${params}` : ""}`;
  if (!replace) location.hash = hash;
  else history.replaceState(null, "", hash);
}

const app = {
  go, get,
  canAct: () => shared.actions && hasToken(),
  overview: () => shared.overview,
  // act asks for the token where there is none, and refreshes at once.
  async act(path, query, says) {
    if (!hasToken() && !(await askToken())) return;
    try {
      await post(path, query);
      tell(says);
      await new Promise((done) => setTimeout(done, 100)); // until it has taken effect
    } catch (e) {
      tell(e.message, true);
      if (e.status === 401) setToken("");
    }
    showLock();
    await refresh();
  },
};

function show() {
  const at = place();
  for (const a of document.querySelectorAll("nav a")) {
    const name = a.getAttribute("href").slice(2);
    a.classList.toggle("here", name === at.name || name === "connections" && at.name === "connection");
  }
  page = pages[at.name](app, at.query);
  main.replaceChildren(...page.nodes);
  window.scrollTo(0, 0);
  refresh();
}

// refresh fetches what the page shows. Only the newest round writes to the page.
async function refresh() {
  clearTimeout(timer);
  const mine = ++round, shown = page;
  try {
    const o = await get("overview");
    if (mine !== round) return;
    shared.overview = o;
    shared.actions = o.actions;
    setText(document.getElementById("open-count"), count(o.open));
    showLock();
    await shown.refresh();
    if (mine !== round) return;
    state(running ? "live" : "off", running ? "live" : "stopped");
  } catch (e) {
    if (mine !== round) return;
    if (e instanceof Refused && e.status === 401) {
      setToken("");
      if (await askToken("This inspector answers requests with its token only.")) return refresh();
    }
    state("lost", e instanceof Refused ? "refused" : "no answer");
    if (e instanceof Refused) tell(e.message, true);
    else console.error(e);
  }
  if (running && mine === round) timer = setTimeout(refresh, document.hidden ? 5 * every : every);
}

function state(name, text) {
  live.className = name === "live" ? "" : name;
  setText(live.lastElementChild, text);
}

live.addEventListener("click", () => {
  running = !running;
  state(running ? "live" : "off", running ? "live" : "stopped");
  if (running) refresh();
  else clearTimeout(timer);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && running) refresh(); });

function showLock() {
  lock.hidden = !shared.actions;
  setText(lock, hasToken() ? "Lock actions" : "Unlock actions");
}

lock.addEventListener("click", async () => {
  if (hasToken()) setToken("");
  else await askToken();
  showLock();
  refresh();
});

// askToken resolves to whether there is a token now.
function askToken(text = "The token of the inspector's options. It is kept in this tab only.") {
  const input = document.getElementById("token");
  setText(document.getElementById("token-text"), text);
  input.value = "";
  if (!dialog.open) dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "ok") setToken(input.value.trim());
      input.value = "";
      resolve(hasToken());
    }, { once: true });
  });
}
document.getElementById("token-ok").addEventListener("click", () => dialog.close("ok"));
document.getElementById("token-cancel").addEventListener("click", () => dialog.close("cancel"));
document.getElementById("token").addEventListener("keydown", (e) => { if (e.key === "Enter") dialog.close("ok"); });

let toastTimer = 0;
function tell(text, bad = false) {
  clearTimeout(toastTimer);
  setText(toast, text);
  toast.className = bad ? "bad" : "";
  toast.hidden = false;
  toastTimer = setTimeout(() => { toast.hidden = true; }, bad ? 6000 : 2500);
}

window.addEventListener("hashchange", show);
show();
