// The route of the data as sites, places and links: what is at each stage, how fast, how far behind, what is wrong.

import { el, show } from "../dom.js";
import { age, count, counted, mbits, moment, percent, plain, rate, since, size } from "../words.js";
import { draw } from "./flow_lines.js";

export function open(where) {
  const head = el("div.tiles");
  const wrong = el("div.wrong");
  const map = el("div.map");
  show(where, head, wrong, map);
  let latest = null;
  const redraw = () => latest && draw(map, latest);
  const seen = new ResizeObserver(redraw);
  seen.observe(map);
  return {
    flow(flow) {
      latest = flow;
      show(head, tiles(flow));
      show(wrong, troubles(flow));
      show(map, columns(flow));
      redraw();
    },
    close() { seen.disconnect(); },
  };
}

function tiles(flow) {
  const moving = flow.routes.filter((route) => route.rate !== null);
  const together = moving.reduce((sum, route) => sum + route.rate, 0);
  const behind = flow.behind.reduce((most, each) => (each.hours > (most?.hours ?? 0) ? each : most), null);
  const bytes = flow.behind.reduce((sum, each) => sum + each.size_bytes, 0);
  const primary = flow.routes.filter((route) => route.is_primary && route.left_bytes);
  const last = primary.map((route) => route.caught_up_at).sort().at(-1);
  const never = primary.some((route) => !route.caught_up_at);
  return [
    tile("failed", count(flow.failed), flow.failed ? (flow.failed === 1 ? "needs a person" : "need a person") : "nothing needs a person", flow.failed && "bad"),
    tile("moving", count(flow.moving), rate(together), flow.moving && "good"),
    tile("waiting", count(flow.waiting), waits(flow)),
    tile("behind", behind ? age(behind.hours * 3600) : "0 s", bytes ? `${size(bytes)} in no archive yet` : "everything is in an archive",
      behind && behind.hours >= 24 && "warn"),
    tile("caught up", never ? "not in sight" : last && new Date(last) > new Date(flow.at) ? `in ${age((new Date(last) - new Date(flow.at)) / 1000)}` : "now",
      primary[0]?.sentence ?? "nothing is on its way out", never && "warn"),
  ];
}

function waits(flow) {
  const troubled = flow.sites.flatMap((site) => site.places).flatMap((place) => place.stages)
    .reduce((sum, stage) => sum + stage.troubled, 0);
  return troubled ? `${count(troubled)} of them failed before` : "for their turn";
}

function tile(name, value, said, mood) {
  return el(`div.tile.${name.replace(" ", "-")}`, { "data-mood": mood || null },
    el("span.label", name), el("strong", value), el("span.said", said));
}

function troubles(flow) {
  const failed = flow.sites.flatMap((site) => site.places).flatMap((place) => place.stages
    .filter((stage) => stage.failed)
    .map((stage) => el("li", el("strong", `${counted(stage.failed, `${stage.kind} failed`, `${stage.kind} failed`)} at ${place.name}. `),
      el("span", stage.why, " "), operation(stage.operation))));
  const alarms = flow.alarms.map((alarm) => el("li", { "data-severity": alarm.severity },
    el("span", alarm.sentence), el("span.quiet", ` since ${moment(alarm.since)} UTC${alarm.acknowledged_by ? `, seen by ${alarm.acknowledged_by}` : ""}`)));
  const places = flow.sites.flatMap((site) => site.places)
    .filter((place) => place.condition && place.condition !== "well" && !flow.alarms.some((alarm) => alarm.sentence.includes(place.name)))
    .map((place) => el("li", place.why || `${place.name} is ${plain(place.condition)}.`));
  const brakes = flow.brakes ? [el("li", el("a", { href: "#/deletions" }, `${counted(flow.brakes, "question")} of the brake on deletion`),
    flow.brakes === 1 ? " waits for an answer." : " wait for an answer.")] : [];
  const topology = flow.topology_is_applied ? [] : [el("li", "This web server reads another topology than the one that is applied:"
    + " bring its file up to date, or run ", el("code", "dts topology apply"), ".")];
  const list = (name, mood, items) => items.length > 0 && el(`section.list.${mood}`, { "aria-label": name }, el("h2", name), el("ul", items));
  return [list("Failed", "bad", failed), list("To know", "warn", [...topology, ...alarms, ...places, ...brakes])];
}

function operation(number) {
  return number && el("a", { href: `#/packages?q=operation:${number}`, "data-key": `operation-${number}` }, `operation ${number}`);
}

function columns(flow) {
  const born = flow.sites.filter((site) => site.has_source);
  const others = flow.sites.filter((site) => !site.has_source);
  const out = flow.routes.filter((route) => route.is_primary);
  const among = flow.routes.filter((route) => !route.is_primary);
  return [
    el("div.column", born.map((site) => card(site, flow))),
    el("div.column.links",
      out.length > 0 && el("h2", "Out of the observatory"), out.map(link),
      among.length > 0 && el("h2", "Between archives"), among.map(link)),
    el("div.column", others.map((site) => card(site, flow))),
  ];
}

function card(site, flow) {
  const stages = site.places.flatMap((place) => place.stages);
  const mood = stages.some((stage) => stage.failed) ? "bad" : stages.some((stage) => stage.moving) ? "good" : null;
  const behind = flow.behind.filter((each) => site.places.some((place) => place.name === each.source));
  return el("article.site", { "data-site": site.name, "data-mood": mood, "aria-label": site.title },
    el("header", el("h2", site.title), el("span.quiet.small", site.where)),
    behind.map((each) => each.size_bytes > 0 && el("p.behind",
      `${each.source}: ${size(each.size_bytes)} in no archive yet`,
      each.files > 0 && `, ${counted(each.files, "file")} of it in no package`, `; the oldest came ${age(each.hours * 3600)} ago.`)),
    el("table.stages",
      el("colgroup", ["", "n", "n", "n", "w", "w"].map((kind) => el(kind ? `col.${kind}` : "col"))),
      el("thead", el("tr", ["stage", "moving", "waiting", "failed", "oldest", "done 1 h"].map((name, index) =>
        el(index ? "th.number" : "th", { scope: "col" }, name)))),
      site.places.map((place) => el("tbody",
        el("tr.place", el("th", { scope: "rowgroup", colspan: 6 }, el("div.split",
          el("span", el("span.name", place.name), " ", el("span.quiet", plain(place.type))), el("span", fill(place))))),
        place.stages.map(stageRow)))));
}

function fill(place) {
  if (place.condition === null) return el("span.quiet", "not measured yet");
  const mood = { well: null, pressed: "warn" }[place.condition] ?? (place.condition === "well" ? null : "bad");
  const said = place.share === null ? `${size(place.free_bytes)} free` : `${percent(place.share)} full`;
  return [mood && el("span.condition", { "data-mood": mood }, plain(place.condition)), " ",
    place.share === null ? !mood && el("span.quiet", plain(place.condition)) : el("span.quiet", said),
    place.share !== null && el("span.bar", { "aria-hidden": "true", "data-mood": mood },
      el("span", { style: { width: `${Math.min(place.share * 100, 100)}%` } }))];
}

function stageRow(stage) {
  const number = (value, mood) => el("td.number", { "data-mood": value ? mood : "none" }, value ? count(value) : "·");
  const why = stage.failed || stage.troubled ? stage.why : null;
  return [
    el("tr.stage", el("th", { scope: "row" }, plain(stage.kind)),
      number(stage.moving, "good"), number(stage.waiting, stage.troubled ? "warn" : "some"), number(stage.failed, "bad"),
      el("td.number.quiet", stage.waiting + stage.moving + stage.failed ? age(stage.oldest_seconds) : ""),
      el("td.number.quiet", stage.done ? count(stage.done) : "")),
    why && !stage.failed && el("tr.why", el("td", { colspan: 6 }, why)),
  ];
}

function link(route) {
  const name = `${route.origin} to ${route.destination}`;
  const mood = route.failed ? "bad" : route.troubled ? "warn" : route.moving ? "good" : null;
  const [newest, ...older] = route.decisions;
  return el("article.link", { "data-route": name, "data-mood": mood, "aria-label": `Route ${name}` },
    el("header", el("h3", route.origin, el("span.arrow", { "aria-label": "to" }, " → "), route.destination)),
    el("div.speed", el("strong", rate(route.rate ?? 0)), el("span.quiet", allowed(route))),
    route.allowed !== null && el("span.bar.wide", { role: "img", "aria-label": `${Math.round(100 * (route.rate ?? 0) / route.allowed)} % of what the timetable allows` },
      el("span", { style: { width: `${Math.min(100 * (route.rate ?? 0) / route.allowed, 100)}%` } })),
    el("p", counts(route), " ", route.sentence),
    (route.failed > 0 || route.troubled > 0) && el("p.why", route.why, " ", operation(route.operation)),
    newest && el("details", { "data-key": `decisions-${name}` },
      el("summary", el("span.quiet", `${moment(newest.at).slice(11)} `), newest.why),
      older.length ? el("ol.decisions", older.map((each) => el("li", el("span.quiet", `${moment(each.at).slice(11)} `), each.why)))
        : el("p.quiet", "No decision before that is kept.")));
}

function allowed(route) {
  if (route.allowed !== null) return `of ${rate(route.allowed)} (${mbits(route.allowed)}) by the timetable`;
  const before = route.rate_last_hour ? `; ${rate(route.rate_last_hour)} over the last hour` : "";
  return route.timetable ? `${route.timetable}${before}` : `as fast as the link gives${before}`;
}

function counts(route) {
  const parts = [[route.moving, "moving"], [route.waiting, "waiting"], [route.failed, "failed"]]
    .filter(([number]) => number).map(([number, word]) => `${count(number)} ${word}`);
  const through = route.connections && route.moving ? ` over ${counted(route.connections, "connection")}` : "";
  return parts.length ? `${parts.join(", ")}${through}.` : "";
}
