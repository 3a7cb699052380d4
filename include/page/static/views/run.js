// The tab on a run of Airflow's: the operations that it planned or tried.

import { el, show } from "../dom.js";
import { logLink, packageLink, state } from "../parts.js";
import { get, Refusal } from "../server.js";
import { age, counted, moment, size } from "../words.js";

export function open(where, context, { rest }) {
  const [dag, ...words] = rest;
  const run = words.join("/");
  async function load() {
    try {
      const found = await get("runs", { dag_id: dag, run_id: run });
      show(where, ...body(dag, run, found));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(where, el("p.empty", error.message));
    }
  }
  load();
  return { refresh: load };
}

function body(dag, run, { items, is_cut: isCut }) {
  if (!items.length) return [el("p.empty", `Run ${run} of ${dag} has touched no data: nothing was to be done, or its plan is not through yet.`)];
  const bytes = items.reduce((sum, each) => sum + (each.size_bytes ?? 0), 0);
  const failed = items.filter((each) => ["permanent", "integrity"].includes(each.outcome)).length;
  return [
    el("p", `${counted(items.length, "operation")}${isCut ? " and more" : ""}, ${size(bytes)}`, failed > 0 && el("strong.bad", `, ${failed} failed`), "."),
    el("div.wide", { tabindex: 0, role: "region", "aria-label": "Operations" }, el("table.data",
      el("thead", el("tr", ["about", "where", "this run", "took", "bytes", "what it says"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", items.map((each) => el("tr", { "data-mood": ["permanent", "integrity"].includes(each.outcome) ? "bad" : null },
        el("th", { scope: "row" }, each.package ? packageLink(each.package) : each.subject),
        el("td", each.location), el("td", each.number ? state(each.outcome ?? "in_progress") : state(each.status)),
        el("td.number", { title: each.started_at && `${moment(each.started_at, { seconds: true })} UTC` }, each.finished_at ? age((new Date(each.finished_at) - new Date(each.started_at)) / 1000) : "–"),
        el("td.number", each.size_bytes ? size(each.size_bytes) : "–"),
        el("td", each.said ?? each.explanation, " ", logLink({ ...each, dag_id: dag, run_id: run }))))))),
  ];
}
