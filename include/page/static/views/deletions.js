// What the brake asks, what was deleted and what justified it, what is pinned, and what would go now.

import { ask, button } from "../ask.js";
import { el, show } from "../dom.js";
import { choice, filter, packageLink, state } from "../parts.js";
import { Rows } from "../rows.js";
import { get, Refusal, send } from "../server.js";
import { count, counted, moment, size } from "../words.js";

export function open(where, context) {
  const asked = { location: "" };
  const questions = el("div"), dry = el("div");
  const rows = new Rows({
    label: "Deletions", empty: "Nothing was deleted yet.",
    columns: [
      { name: "allowed (UTC)", width: "130px", cell: (item) => moment(item.recorded_at) },
      { name: "package", width: "minmax(330px, 2fr)", cell: (item) => packageLink(item.package) },
      { name: "from", width: "150px", cell: (item) => item.location },
      { name: "copies", width: "70px", number: true, cell: (item) => count(item.copy_count) },
      { name: "size", width: "80px", number: true, cell: (item) => size(item.size_bytes) },
      { name: "by", width: "90px", cell: (item) => item.requested_by },
      { name: "because", width: "minmax(200px, 2fr)", cell: (item) => el("span.quiet", { title: item.reason }, item.reason) },
      { name: "verified copies that remain", width: "minmax(220px, 2fr)", cell: (item) => evidence(item) },
    ],
    page: (after, signal) => get("deletions", { ...asked, after, limit: 100 }, { signal }),
  });
  const form = el("form.filters", { onsubmit: (event) => event.preventDefault() },
    filter("from", choice("location", context.account.locations, "", (event) => { asked.location = event.target.value; rows.load(); })));
  show(where, questions, dryRun(context, dry), dry, el("section.section", el("h2", "Ledger"), form, rows.node));

  async function load() {
    try {
      const { items } = await get("brakes", { answered: true, limit: 20 });
      show(questions, brakes(items, context, load));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(questions, el("p.empty", error.message));
    }
  }
  load();
  rows.load();
  return { refresh: () => { load(); rows.refresh(); }, close: () => rows.close() };
}

function evidence(item) {
  const said = item.evidence.map((copy) => `${copy.location} (${moment(copy.verified_at)})`).join(", ");
  return el("span", { title: said }, said);
}

function brakes(items, context, again) {
  const pending = items.filter((each) => !each.answer), answered = items.filter((each) => each.answer);
  return [
    pending.map((each) => question(each, context, again)),
    !pending.length && el("p.note", "The brake asks nothing: no deletion waits for a person."),
    answered.length > 0 && el("details.section", { "data-key": "answered" }, el("summary", `${counted(answered.length, "question")} answered before`),
      el("ul.sentences", answered.map((each) => el("li", el("strong", `Question ${each.id}, ${each.location}: `), state(each.answer), ` ${each.sentence} ${each.reason ? `Reason: ${each.reason}. ` : ""}${each.why} `,
        each.answer === "refused" && !each.lifted_at && button("Lift the refusal …", () => ask({
          title: `Forget the refusal of question ${each.id}`, text: "The same packages may be asked about again.", confirm: "Lift",
          act: async ({ reason }) => (await send("POST", `brakes/${each.id}/lift`, { reason })).sentence,
        }).then((done) => done && again()), { allowed: context.may("answer the brake"), key: `lift-${each.id}` }))))),
  ];
}

function question(each, context, again) {
  const answer = (said, words, danger) => button(words, () => ask({
    title: said === "approved" ? `Let ${counted(each.package_count, "package")} go from ${each.location}` : `Keep ${counted(each.package_count, "package")} at ${each.location}`,
    text: said === "approved" ? `Exactly this list goes on, ${size(each.size_bytes)}; the deletion gate still asks its questions of each package. This answer is for good.`
      : "Nothing of this list is deleted there until policy changes, or somebody lifts the refusal.",
    confirm: said === "approved" ? `Approve ${counted(each.package_count, "package")}` : "Refuse", danger,
    act: async ({ reason }) => (await send("POST", `brakes/${each.id}/answer`, { answer: said, reason })).sentence,
  }).then((done) => done && again()), { danger, allowed: context.may("answer the brake"), key: `${said}-${each.id}` });
  const list = el("div");
  return el("section.panel.question", { "data-mood": "warn", "aria-label": `Question ${each.id} of the brake` },
    el("h2", `May this go from ${each.location}?`), el("p", each.why),
    el("p.quiet", `Question ${each.id}, asked ${moment(each.asked_at)} UTC for ${each.requested_by}: ${counted(each.copy_count, "copy", "copies")} of ${counted(each.package_count, "package")}, ${size(each.size_bytes)}.`),
    el("details", { "data-key": `list-${each.id}`, ontoggle: (event) => event.target.open && packages(each, list) }, el("summary", "All packages of the list"), list),
    el("div.buttons", answer("approved", "Approve …", true), answer("refused", "Refuse …", false)));
}

async function packages(each, list) {
  if (list.childElementCount) return;
  const { items } = await get(`brakes/${each.id}/packages`, { limit: 10000 });
  show(list, el("table.data", el("thead", el("tr", ["package", "copies", "size", "archived (UTC)"].map((name, index) => el(index && index < 3 ? "th.number" : "th", { scope: "col" }, name)))),
    el("tbody", items.map((item) => el("tr", el("th", { scope: "row" }, packageLink(item.name)), el("td.number", count(item.copy_count)),
      el("td.number", size(item.size_bytes)), el("td", moment(item.archived_at)))))));
}

/** What the gate would say now; nothing changes. */
function dryRun(context, shown) {
  const places = context.account.locations.filter((name) => !name.endsWith("archive"));
  const select = el("select", { name: "place" }, places.map((name) => el("option", { value: name }, name)));
  const subject = el("input", { name: "subject", placeholder: "package, observation, or all", size: 30 });
  return el("form.filters", { onsubmit: async (event) => {
    event.preventDefault();
    show(shown, el("p.quiet", "The gate is asked …"));
    try {
      const { items, brake } = await get("deletions/dry-run", { location: select.value, subject: subject.value.trim() });
      const going = items.filter((each) => each.may_go);
      show(shown, el("section.panel", { "aria-label": "Dry run" }, el("h2", `${counted(going.length, "package")} would go from ${select.value} with ${size(going.reduce((sum, each) => sum + each.size_bytes, 0))}, ${count(items.length - going.length)} would stay`),
        brake && el("p", brake), el("div.wide.low", { tabindex: 0, role: "region", "aria-label": "What the gate says" }, el("table.data", el("tbody", items.map((each) => el("tr",
          el("th", { scope: "row" }, packageLink(each.package)), el("td", each.may_go ? "goes" : "stays"), el("td.number", size(each.size_bytes)), el("td.quiet", each.reason))))))));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(shown, el("p.note", error.message));
    }
  } }, filter("what would go from", select), filter("of", subject), el("button.small", { type: "submit" }, "Dry run"));
}
