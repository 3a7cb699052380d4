// What instruments sent, and the verdict on it.

import { el, show } from "../dom.js";
import { choice, filter, observationLink, state } from "../parts.js";
import { Rows } from "../rows.js";
import { get } from "../server.js";
import { count, moment, size } from "../words.js";

export function open(where, context, { query }) {
  const asked = { state: query.get("state") ?? "", observation: query.get("observation") ?? "" };
  const rows = new Rows({
    label: "Filings", empty: "No filing fits.",
    columns: [
      { name: "filing", width: "70px", number: true, cell: (item) => item.id },
      { name: "received (UTC)", width: "130px", cell: (item) => moment(item.received_at) },
      { name: "verdict", width: "90px", cell: (item) => state(item.state) },
      { name: "from", width: "110px", cell: (item) => el("span", { title: item.received_from }, item.received_from) },
      { name: "module", width: "130px", cell: (item) => [item.instrument, item.instrument_module].filter(Boolean).join(" ") },
      { name: "observation", width: "90px", cell: (item) => item.observation && observationLink(item.observation) },
      { name: "files", width: "70px", number: true, cell: (item) => count(item.file_count) },
      { name: "size", width: "80px", number: true, cell: (item) => size(item.size_bytes) },
      { name: "what it says", width: "minmax(280px, 4fr)", cell: (item) => el("span", { title: item.verdict }, item.verdict) },
    ],
    page: async (after, signal) => {
      const page = await get("filings", { ...asked, after, limit: 100 }, { signal });
      for (const item of page.items) item.mood = item.state === "refused" ? "bad" : null;
      return page;
    },
  });
  const form = el("form.filters", { role: "search", onsubmit: (event) => { event.preventDefault(); change(); } },
    filter("verdict", choice("state", ["received", "accepted", "refused"], asked.state, change)),
    filter("observation", el("input", { name: "observation", value: asked.observation, placeholder: "UUID", size: 36, onchange: change })));
  function change() {
    for (const name of Object.keys(asked)) asked[name] = form.elements[name].value.trim();
    rows.load();
  }
  show(where, form, rows.node);
  rows.load();
  return { refresh: () => rows.refresh(), close: () => rows.close() };
}
