// Finding packages; and what is to be said about an observation or an operation that was asked for.

import { ask, button, tell } from "../ask.js";
import { el, show } from "../dom.js";
import { choice, filter, observationLink, packageLink, state } from "../parts.js";
import { Rows } from "../rows.js";
import { get, Refusal, send } from "../server.js";
import { count, moment, size } from "../words.js";

const STATES = ["waiting", "transferring", "archived", "failed"];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NAMES = ["q", "instrument", "module", "state", "first", "last"];

export function open(where, context, { query }) {
  const asked = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""]));
  const rows = new Rows({
    label: "Packages", empty: "No package fits.",
    columns: [
      { name: "package", width: "minmax(240px, 2.4fr)", cell: (item) => [packageLink(item.name, item), item.is_flagged && el("span.flag", { title: "overtakes others" }, "urgent")] },
      { name: "state", width: "110px", cell: (item) => state(item.operation_status === "failed" ? "failed" : item.state) },
      { name: "began (UTC)", width: "130px", cell: (item) => moment(item.started_at) },
      { name: "observation", width: "90px", cell: (item) => observationLink(item.observation) },
      { name: "files", width: "70px", number: true, cell: (item) => count(item.file_count) },
      { name: "size", width: "80px", number: true, cell: (item) => size(item.size_bytes) },
      { name: "why it is where it is", width: "minmax(220px, 3fr)", cell: (item) => el("span.quiet", { title: item.why }, said(item)) },
    ],
    page: async (after, signal) => {
      const page = await get("search/packages", { ...asked, after, limit: 100 }, { signal });
      for (const item of page.items) item.mood = item.operation_status === "failed" || item.state === "failed" ? "bad" : null;
      return page;
    },
  });
  const about = el("div");
  const form = el("form.filters", { role: "search", onsubmit: (event) => { event.preventDefault(); change(); } },
    filter("search", el("input", { name: "q", type: "search", value: asked.q, placeholder: "name, file, observation, operation:7", oninput: later, size: 34 })),
    filter("instrument", choice("instrument", context.account.instruments, asked.instrument, change)),
    filter("module", choice("module", context.account.modules, asked.module, change)),
    filter("state", choice("state", STATES, asked.state, change)),
    filter("from", el("input", { name: "first", type: "date", value: asked.first, onchange: change })),
    filter("to", el("input", { name: "last", type: "date", value: asked.last, onchange: change })));
  show(where, form, about, rows.node);
  let timer = null;

  function later() { clearTimeout(timer); timer = setTimeout(change, 250); }

  function change() {
    clearTimeout(timer);
    for (const name of NAMES) asked[name] = form.elements[name].value.trim();
    const filled = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
    history.replaceState(null, "", `#/packages${filled.size ? `?${filled}` : ""}`);
    rows.load();
    explain();
  }

  async function explain() {
    const word = asked.q;
    if (!UUID.test(word) && !/^operation:\d+$/.test(word)) { show(about); return; }
    try {
      const told = await get(`explain/${encodeURIComponent(word)}`);
      if (word === asked.q) show(about, explanation(told, word));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(about, UUID.test(word) && error.status === 404 ? null : el("p.note", error.message));
    }
  }

  function explanation(told, word) {
    const number = /^operation:(\d+)$/.exec(word)?.[1];
    const again = () => { rows.load(); explain(); };
    return el("section.panel", { "aria-label": told.title }, el("h2", told.title), el("ul.sentences", told.sentences.map((each) => el("li", each))),
      el("div.buttons", number ? retryButton([Number(number)], context, again) : flagButtons(word, context, again, { known: told.kind === "observation" })));
  }

  rows.load();
  explain();
  return { refresh: () => rows.refresh(), close: () => { clearTimeout(timer); rows.close(); } };
}

function said(item) {
  if (item.why) return item.why;
  return item.archived_at ? `Archived ${moment(item.archived_at)} UTC.` : "";
}

export function retryButton(operations, context, done, words = "Retry …") {
  return button(words, () => ask({
    title: operations.length === 1 ? `Retry operation ${operations[0]}` : `Retry ${operations.length} operations`,
    text: "What failed, or pauses before its next try, is pending again with a fresh budget: the next plan takes it up.",
    confirm: "Retry",
    act: async ({ reason }) => (await send("POST", "operations/retry", { operations, reason })).sentence,
  }).then((sentence) => sentence && done()), { allowed: context.may("retry") });
}

export function flagButtons(observation, context, done, { known = true, flagged = true } = {}) {
  if (!known) return [];
  return [
    button("Raise priority …", () => ask({
      title: "Let this observation overtake", text: `All packages of observation ${observation} go before others, at every stage.`,
      confirm: "Raise priority", act: async ({ reason }) => (await send("POST", `observations/${observation}/flag`, { reason })).sentence,
    }).then((sentence) => sentence && done()), { allowed: context.may("flag") }),
    flagged && button("Take priority back", async () => {
      try { tell((await send("DELETE", `observations/${observation}/flag`)).sentence); done(); } catch (error) { tell(error.message); }
    }, { allowed: context.may("flag") }),
  ];
}
