// StagingJobs: ask for packages against the room there is, see how far they are, extend, release.

import { ask, button } from "../ask.js";
import { el, show } from "../dom.js";
import { filter, packageLink, state } from "../parts.js";
import { Rows } from "../rows.js";
import { get, Refusal, send } from "../server.js";
import { count, moment, percent, plain, since, size } from "../words.js";

export function open(where, context, { query }) {
  const detail = el("div");
  let chosen = query.get("job");
  const rows = new Rows({
    label: "StagingJobs", empty: "Nobody has asked for anything.", size: 100,
    columns: [
      { name: "job", width: "60px", number: true, cell: (item) => el("a", { href: `#/staging?job=${item.id}`, "data-key": `job-${item.id}` }, item.id) },
      { name: "how it is", width: "110px", cell: (item) => state(item.status) },
      { name: "there", width: "180px", cell: (item) => progress(item) },
      { name: "where", width: "170px", cell: (item) => item.location },
      { name: "until (UTC)", width: "130px", cell: (item) => moment(item.until) },
      { name: "by", width: "110px", cell: (item) => item.requested_by },
      { name: "what it says", width: "minmax(260px, 3fr)", cell: (item) => el("span", { title: item.sentence }, item.sentence) },
    ],
    page: async (after, signal) => {
      const page = await get("staging-jobs", { after, limit: 100 }, { signal });
      for (const item of page.items) item.mood = item.status === "failed" ? "bad" : null;
      return page;
    },
  });
  show(where, wish(context, (job) => { chosen = String(job.id); again(); }), detail, el("section.section", el("h2", "StagingJobs"), rows.node));

  async function again() { rows.load(); await job(); }

  async function job() {
    if (!chosen) { show(detail); return; }
    try {
      const [about, full] = await Promise.all([get(`staging-jobs/${encodeURIComponent(chosen)}`), get(`staging-jobs/${encodeURIComponent(chosen)}/packages`)]);
      show(detail, inFull(about, full, context, again));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(detail, el("p.note", error.message));
    }
  }
  rows.load();
  job();
  return { refresh: () => { rows.refresh(); job(); }, close: () => rows.close() };
}

function progress(item) {
  const share = item.size_bytes ? item.size_bytes_done / item.size_bytes : item.packages_done / Math.max(item.packages, 1);
  return [el("span.bar", { "aria-hidden": "true" }, el("span", { style: { width: `${share * 100}%` } })), ` ${percent(share)} of ${size(item.size_bytes)}`];
}

/** Ask for packages; what is typed is compared with the room there is. */
function wish(context, done) {
  if (!context.may("request staging") || !context.account.processing.length) return null;
  const later = new Date(Date.now() + 30 * 86400e3).toISOString().slice(0, 10);
  const fits = el("p.quiet", { role: "status" }, "Packages, UUIDs of observations, or a night as ", el("code", "primecam:2026-11-20"), "; several with spaces between them.");
  const location = el("select", { name: "location", onchange: look }, context.account.processing.map((name) => el("option", { value: name }, name)));
  const subjects = el("input", { name: "subjects", size: 46, placeholder: "primecam:2026-11-20", oninput: () => { clearTimeout(look.timer); look.timer = setTimeout(look, 300); } });
  const until = el("input", { name: "until", type: "date", value: later });
  const words = () => subjects.value.split(/\s+/).filter(Boolean);

  async function look() {
    if (!words().length) return;
    const url = words().map((word) => `subject=${encodeURIComponent(word)}`).join("&");
    try {
      const fit = await get(`rooms/${encodeURIComponent(location.value)}/fit?${url}`);
      fits.dataset.mood = fit.fits ? "" : "bad";
      show(fits, fit.sentence);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fits.dataset.mood = "bad";
      show(fits, error.message);
    }
  }

  const key = () => (crypto.randomUUID ? crypto.randomUUID() : `page-${Date.now()}-${Math.random().toString(36).slice(2)}`);
  return el("form.panel.wish", { "aria-label": "Ask for data", onsubmit: (event) => {
    event.preventDefault();
    if (!words().length) { subjects.focus(); return; }
    const once = key();
    ask({
      title: `Stage at ${location.value} until ${until.value}`, text: fits.textContent, list: words(), confirm: "Ask for it", reason: "optional",
      fields: [{ name: "wait", label: "Also if it has to wait for room, or for an archive", type: "checkbox" }],
      act: async ({ reason, wait }) => {
        const job = await send("POST", "staging-jobs", { subjects: words(), location: location.value, until: `${until.value}T23:59:59Z`, reason, may_wait: wait }, { headers: { "Idempotency-Key": once } });
        done(job);
        return `StagingJob ${job.id}: ${job.sentence}`;
      },
    });
  } }, el("h2", "Ask for data"), el("div.filters", filter("what", subjects), filter("where", location), filter("until (its end, UTC)", until), el("button.main", { type: "submit" }, "Ask …")), fits);
}

function inFull(job, full, context, again) {
  const mine = context.may("extend staging") && (job.requested_by === context.account.account || context.account.roles.some((role) => ["operator", "admin"].includes(role)));
  const active = job.state === "active";
  return el("section.panel", { "aria-label": `StagingJob ${job.id}` },
    el("h2", `StagingJob ${job.id} of ${job.requested_by} at ${job.location} `, state(job.status)), el("p", job.sentence, " ", progress(job)),
    el("p.quiet", `${active ? "Protected" : "Was protected"} until ${moment(job.until)} UTC. ${job.reason}`),
    el("div.buttons",
      button("Extend …", () => ask({ title: `Extend StagingJob ${job.id}`, confirm: "Extend", reason: "optional",
        fields: [{ name: "until", label: "Until (its end, UTC)", type: "date", required: true, value: new Date(new Date(job.until).getTime() + 30 * 86400e3).toISOString().slice(0, 10) }],
        act: async ({ until, reason }) => { await send("PATCH", `staging-jobs/${job.id}`, { until: `${until}T23:59:59Z`, reason }); return `StagingJob ${job.id} is extended until ${until}.`; },
      }).then((said) => said && again()), { allowed: mine && active }),
      button("Release …", () => ask({ title: `Release StagingJob ${job.id}`, text: "It ends now: what no other job protects may be deleted.", confirm: "Release", reason: "optional", danger: true,
        act: async ({ reason }) => { await send("DELETE", `staging-jobs/${job.id}`, undefined, { query: { reason } }); return `StagingJob ${job.id} is released.`; },
      }).then((said) => said && again()), { danger: true, allowed: mine && active })),
    el("div.wide.low", { tabindex: 0, role: "region", "aria-label": "Packages of the job" }, el("table.data",
      el("thead", el("tr", ["package", "how it is", "files", "size", "why it is not there"].map((name, index) => el([2, 3].includes(index) ? "th.number" : "th", { scope: "col" }, name)))),
      el("tbody", full.packages.map((each) => el("tr", el("th", { scope: "row" }, packageLink(each.name)), el("td", state(each.status)),
        el("td.number", count(each.file_count)), el("td.number", size(each.size_bytes)), el("td", each.why)))))),
    el("details", { "data-key": `job-history-${job.id}` }, el("summary", "History"), el("ul.sentences", full.history.map((each) => el("li",
      `${moment(each.recorded_at)} UTC, ${plain(each.event)} by ${each.person ?? "its date"}${each.asked_through ? ` (${each.asked_through})` : ""}${each.reason ? `: ${each.reason}` : ""}`)))));
}
