// The frame of the page: which view is shown, who looks, whether it is live.

import { el, show } from "./dom.js";
import { followInAirflow } from "./airflow.js";
import { get, Refusal } from "./server.js";
import { Live } from "./live.js";

const VIEWS = [
  ["flow", "Flow"],
  ["packages", "Packages"],
  ["places", "Places"],
  ["filings", "Filings"],
  ["deletions", "Deletions"],
  ["staging", "Staging"],
  ["plots", "Plots"],
];
const HIDDEN = ["package", "observation", "run"];
const PARENTS = { package: "packages", observation: "packages" };
const REFRESH_MS = 5000;

const main = document.getElementById("main");
const context = { account: null, flow: null, may: (action) => context.account?.may.includes(action) ?? false };
let view = null;
let shown = "flow";
let refreshedAt = 0;
let pending = null;

async function start() {
  followInAirflow();
  try {
    context.account = await get("account");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    setTimeout(start, 5000);
    say(error.message, error.status);
    return;
  }
  if (!context.may("read places")) {
    show(main, el("p.empty", `${context.account.account}, this page is for people who look after the data, and your`
      + " account may not see it. Ask an administrator for the role viewer."));
    say("", 0);
    return;
  }
  say("connecting");
  addEventListener("hashchange", route);
  await route();
  new Live({ onFlow, onState: say });
}

/** `#/packages/name?state=failed` is the view `packages`, asked for `name`. */
async function route() {
  const [path, query = ""] = decodeHash();
  const [name = "flow", ...rest] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const known = VIEWS.some(([each]) => each === name) || HIDDEN.includes(name);
  if (!known) { location.hash = "#/flow"; return; }
  shown = PARENTS[name] ?? name;
  navigation();
  document.body.dataset.view = name;
  const module = await import(`./views/${name}.js`);
  view?.close?.();
  const where = el("section.view", { "aria-label": VIEWS.find(([each]) => each === name)?.[1] ?? name });
  show(main, where);
  view = module.open(where, context, { rest, query: new URLSearchParams(query) });
  if (context.flow) view.flow?.(context.flow);
  tellAirflow();
}

function decodeHash() {
  const hash = location.hash.replace(/^#\/?/, "");
  const at = hash.indexOf("?");
  return at < 0 ? [hash] : [hash.slice(0, at), hash.slice(at + 1)];
}

/** Airflow keeps the frame's address in its own: a link that is copied there leads here again. */
function tellAirflow() {
  if (parent === window) return;
  try {
    const [before] = parent.location.pathname.split("/dts/page");
    if (!before.includes("/plugin/")) return;
    parent.history.replaceState(parent.history.state, "", `${before.replace(/\/$/, "")}${location.pathname}${location.hash}`);
  } catch { /* another origin: then not */ }
}

function navigation() {
  const links = VIEWS.map(([name, title]) => el("a", {
    href: `#/${name}`, "aria-current": name === shown && "page", "data-key": `view-${name}`,
  }, title, badge(name)));
  show(document.getElementById("views"), ...links);
}

function badge(name) {
  const flow = context.flow;
  const [number, what] = !flow ? [0] : {
    flow: [flow.failed, "failed"], deletions: [flow.brakes, "wait for an answer"], filings: [flow.refused, "refused"],
  }[name] ?? [0];
  return number > 0 && el("span.badge", { title: `${number} ${what}` }, number, el("span.hear", ` ${what}`));
}

function onFlow(flow) {
  context.flow = flow;
  navigation();
  document.title = flow.failed ? `(${flow.failed} failed) Data transfer` : "Data transfer";
  view?.flow?.(flow);
  // Other views ask for their own: not more often than this, and the last change is never missed.
  clearTimeout(pending);
  const wait = Math.max(0, refreshedAt + REFRESH_MS - Date.now());
  pending = setTimeout(() => { refreshedAt = Date.now(); view?.refresh?.(); }, wait);
}

function say(state, status) {
  const trouble = document.getElementById("trouble");
  const fine = state === "live" || state === "polling" || state === "connecting" || state === "";
  const words = { live: "live", polling: "every 5 s", connecting: "connecting …" };
  const text = fine ? words[state] ?? "" : "not live";
  const node = document.getElementById("state");
  if (node.dataset.state !== text) {
    node.dataset.state = text;
    show(node, text && el("span.dot", { "data-state": fine ? state : "away" }), text);
  }
  trouble.hidden = fine;
  const waits = status === 401 || status === 403 ? "" : " What you see is from before; this page tries again by itself.";
  if (!fine && trouble.textContent !== `${state}${waits}`) trouble.textContent = `${state}${waits}`;
}

start();
