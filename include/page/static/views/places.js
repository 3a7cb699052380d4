// Locations: how full they are against their watermarks, what comes and goes, for how long, hosts and queues.

import { el, show } from "../dom.js";
import { get, Refusal } from "../server.js";
import { state } from "../parts.js";
import { age, count, percent, plain, rate, since, size } from "../words.js";

const SILENT_MS = 120000;

export function open(where) {
  const body = el("div.view");
  show(where, body);
  let latest = null, flow = null;
  const draw = () => latest && show(body, table(latest, flow), hosts(latest));
  async function load() {
    try { latest = await get("rooms"); draw(); } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (!latest) show(body, el("p.empty", error.message));
    }
  }
  load();
  return { refresh: load, flow(seen) { flow = seen; draw(); } };
}

function table(rooms, flow) {
  const stages = new Map((flow?.sites ?? []).flatMap((site) => site.places).map((place) => [place.name, place.stages]));
  return el("div.wide", { tabindex: 0, role: "region", "aria-label": "Locations" }, el("table.data.rooms",
    el("thead", el("tr", ["location", "how it is", "fill", "free", "in", "out", "full in", "stored by us", "waits here", "hosts"].map((name, index) =>
      el(index > 2 && index < 8 ? "th.number" : "th", { scope: "col" }, name)))),
    el("tbody", rooms.items.map((room) => [row(room, stages.get(room.name) ?? []),
      room.condition && room.condition !== "well" && el("tr.said", el("td", { colspan: 10 }, room.why || `${room.name} is ${plain(room.condition)}.`))]))));
}

function row(room, stages) {
  const waiting = stages.reduce((sum, stage) => sum + stage.waiting, 0), failed = stages.reduce((sum, stage) => sum + stage.failed, 0);
  const hours = room.hours_left;
  return el("tr",
    el("th", { scope: "row" }, room.name, " ", el("span.quiet.small", plain(room.type))),
    el("td", room.condition ? state(room.condition) : el("span.quiet", "not measured"), room.measured_at && el("span.quiet.small", ` ${since(room.measured_at)} ago`)),
    el("td.fill", gauge(room)),
    el("td.number", size(room.free_bytes)), el("td.number", rate(room.in_rate)), el("td.number", rate(room.out_rate)),
    el("td.number", { "data-mood": hours !== null && hours < 48 ? "warn" : null }, hours === null ? (room.in_rate === null ? "?" : "never") : age(hours * 3600)),
    el("td.number", size(room.stored_bytes), room.stored_copies !== null && el("span.quiet.small", ` ${count(room.stored_copies)} copies`)),
    el("td", waiting ? `${count(waiting)} waiting` : el("span.quiet", "nothing"), failed > 0 && el("strong.bad", `, ${count(failed)} failed`)),
    el("td", el("details", { "data-key": `queues-${room.name}` }, el("summary", room.hosts.join(", ")),
      el("ul.sentences", room.queues.map((queue) => el("li.mono", queue))))));
}

function gauge(room) {
  if (room.share === null) return el("span.quiet", room.total_bytes === null ? "no limit known" : "–");
  const mark = (name, at) => el("i", { title: `${name} watermark ${percent(at)}`, style: { left: `${at * 100}%` } });
  const mood = room.share >= room.critical ? "bad" : room.share >= room.high ? "warn" : null;
  return el("span.gauge", { role: "img", "aria-label": `${percent(room.share)} full; watermarks ${percent(room.low)}, ${percent(room.high)}, ${percent(room.critical)}` },
    el("span.track", el("span.bar.wide", { "data-mood": mood }, el("span", { style: { width: `${Math.min(100, room.share * 100)}%` } })),
      mark("low", room.low), mark("high", room.high), mark("critical", room.critical)),
    el("span.small", percent(room.share)));
}

function hosts(rooms) {
  return el("section.section", el("h2", "Hosts"), el("div.wide", { tabindex: 0, role: "region", "aria-label": "Hosts" }, el("table.data",
    el("thead", el("tr", ["host", "site", "worker", "last heard of", "listens to"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", rooms.hosts.map((host) => el("tr", el("th", { scope: "row" }, host.name, host.version && el("span.quiet.small", ` ${host.version}`)), el("td", host.site),
      el("td", worker(host)), el("td.nowrap", host.heard_at ? `${since(host.heard_at)} ago` : "never"),
      el("td.small", el("span.mono", host.queues.join(", ")), host.heard_at && host.missing.length > 0 && el("span.bad", `${host.queues.length ? "; " : ""}not to ${host.missing.join(", ")}`))))))));
}

function worker(host) {
  if (!host.heard_at) return el("span.quiet", "never heard of");
  if (host.stopped_at) return state("stopped");
  return state(Date.now() - new Date(host.heard_at) > SILENT_MS ? "silent" : "listening");
}
