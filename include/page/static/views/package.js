// One package: where it is and why, what comes next, its life with every attempt, its copies, the files in it.

import { ask, button } from "../ask.js";
import { el, show } from "../dom.js";
import { logLink, observationLink, state } from "../parts.js";
import { Rows } from "../rows.js";
import { get, Refusal, send } from "../server.js";
import { age, count, counted, moment, plain, size } from "../words.js";
import { flagButtons, retryButton } from "./packages.js";

export function open(where, context, { rest }) {
  const name = rest.join("/");
  const body = el("div.view");
  const files = new Rows({
    label: "Files", empty: "No file of it is known.", size: 200,
    columns: [
      { name: "file", width: "minmax(220px, 3fr)", cell: (item) => el("span.mono", { title: item.path }, item.path) },
      { name: "size", width: "90px", number: true, cell: (item) => size(item.size_bytes) },
      { name: "offset", width: "150px", number: true, cell: (item) => count(item.offset_bytes) },
      { name: "checksum", width: "minmax(200px, 2fr)", cell: (item) => el("span.mono.quiet", { title: item.checksum }, item.checksum ?? "not yet") },
    ],
    page: (after, signal) => get(`packages/${encodeURIComponent(name)}/members`, { after, limit: 200 }, { signal }),
  });
  const members = el("details.section", { "data-key": "files", ontoggle: (event) => event.target.open && files.load() },
    el("summary", el("h2", "Files")), files.node);
  show(where, el("p.back", el("a", { href: "#/packages" }, "← Packages")), body, members);

  async function load() {
    try {
      const life = await get(`packages/${encodeURIComponent(name)}/life`);
      show(body, about(life, context, load));
      show(members.querySelector("h2"), counted(life.file_count, "file"));
      members.hidden = false;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      members.hidden = error.status === 404;
      show(body, el("p.empty", error.message));
    }
  }
  load();
  return { refresh: load, close: () => files.close() };
}

function about(life, context, again) {
  const failed = life.operations.filter((operation) => operation.status === "failed" || operation.not_before);
  return [
    el("header.subject", el("h1", life.name), state(life.state)),
    el("p.quiet", `Number ${life.number} of observation `, observationLink(life.observation), `, ${life.instrument} ${life.module}; `,
      `${counted(life.file_count, "file")}, ${size(life.size_bytes ?? life.content_bytes)}; made from what lies at ${life.source}. `,
      life.checksum && el("span.mono", life.checksum)),
    el("section.panel", { "aria-label": "Why it is where it is" }, { "data-mood": life.operations.some((each) => each.status === "failed") ? "bad" : null },
      el("h2", "Why it is where it is, and what comes next"),
      el("ul.sentences", [life.where, ...life.next, ...life.urgent.map((each) => `It overtakes others: ${each}`)].map((each) => el("li", each))),
      life.keeping.length > 0 && el("details", { "data-key": "keeping" }, el("summary", "What keeps it at each place"), el("ul.sentences", life.keeping.map((each) => el("li", each)))),
      life.pins.length > 0 && el("ul.sentences", life.pins.map((each) => el("li", `Pinned by ${each.pinned_by} at ${each.location ?? "every location"}`
        + `${each.until ? ` until ${moment(each.until)} UTC` : ""}: ${each.reason} `, unpin(each, context, again)))),
      el("div.buttons",
        failed.length > 0 && retryButton(failed.map((operation) => operation.id), context, again),
        flagButtons(life.observation, context, again, { flagged: life.flag !== null }), pinButton(life, context, again))),
    el("section.section", el("h2", "Copies"), copies(life)),
    el("section.section", el("h2", "Life"), timeline(life)),
  ];
}

function pinButton(life, context, again) {
  return button("Pin …", () => ask({
    title: `Keep ${life.name}`, text: "Nothing deletes it while the pin holds, whatever policy says.", confirm: "Pin",
    fields: [{ name: "location", label: "Where", options: ["everywhere", ...context.account.locations] }, { name: "until", label: "Until (its end, UTC; empty: until it is released)", type: "date" }],
    act: async ({ location, until, reason }) => (await send("POST", "pins", {
      subject: `package:${life.id}`, location: location === "everywhere" ? null : location, until: until ? `${until}T23:59:59Z` : null, reason,
    })).sentence,
  }).then((sentence) => sentence && again()), { allowed: context.may("pin") });
}

function unpin(pin, context, again) {
  return button("Release", () => ask({
    title: `Release pin ${pin.id}`, text: `${pin.pinned_by} pinned it: ${pin.reason}`, confirm: "Release", reason: "none", danger: true,
    act: async () => (await send("DELETE", `pins/${pin.id}`)).sentence,
  }).then((sentence) => sentence && again()), { allowed: context.may("pin"), key: `unpin-${pin.id}` });
}

function copies(life) {
  if (!life.copies.length) return el("p.quiet", "No copy of it is known.");
  return el("div.wide", { tabindex: 0, role: "region", "aria-label": "Copies" }, el("table.data",
    el("thead", el("tr", ["location", "state", "size", "last verified (UTC)", "path"].map((name) => el(name === "size" ? "th.number" : "th", { scope: "col" }, name)))),
    el("tbody", life.copies.map((each) => el("tr",
      el("th", { scope: "row" }, each.location, " ", el("span.quiet.small", plain(each.location_type))), el("td", state(each.status)),
      el("td.number", size(each.size_bytes)), el("td", verified(each)),
      el("td", el("span.mono", each.count === 1 ? each.path : `${counted(each.count, "file")}, ${each.path} the first`)))))));
}

function verified(each) {
  if (each.deleted_at) return `deleted ${moment(each.deleted_at)}`;
  if (!each.verified_at) return el("span.quiet", "never there");
  return moment(each.verified_at) + (each.verified_count === each.count ? "" : ` (${each.verified_count} of ${each.count})`);
}

/** Events and attempts in one line of time, the newest first. */
function timeline(life) {
  // What failed, was retried or read again is told by its attempt, with the log.
  const events = life.events.filter((event) => event.what !== "failed" && event.what !== "read again").map((event) => ({ at: event.at, node: el("li", el("time", moment(event.at, { seconds: true })), el("strong", event.what),
    el("span.place", event.place), el("span.what", event.said, event.by && el("span.quiet", ` by ${event.by}`))) }));
  const tries = life.attempts.filter((attempt) => !attempt.person).map((attempt) => ({ at: attempt.started_at, node: tried(attempt) }));
  const all = [...events, ...tries].sort((one, other) => new Date(other.at) - new Date(one.at));
  return all.length ? el("ol.timeline", all.map((each) => each.node)) : el("p.quiet", "Nothing has happened to it yet.");
}

function tried(attempt) {
  const took = attempt.finished_at ? ` after ${age((new Date(attempt.finished_at) - new Date(attempt.started_at)) / 1000)}` : "";
  const moved = attempt.size_bytes ? `, ${size(attempt.size_bytes)}` : "";
  const mood = { permanent: "bad", integrity: "bad", lost: "warn", transient: "warn" }[attempt.outcome];
  return el("li.attempt", { "data-mood": mood }, el("time", moment(attempt.started_at, { seconds: true })), el("strong", attempt.kind),
    el("span.place", attempt.location),
    el("span.what", el("span", `attempt ${attempt.number}${attempt.host ? ` on ${attempt.host}` : ""}: `, state(attempt.outcome ?? "in_progress"), `${took}${moved}. `),
      attempt.error_class && `${attempt.error_class}: `, attempt.said ?? "", " ", logLink(attempt)));
}
