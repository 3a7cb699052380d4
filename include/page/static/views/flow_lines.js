// The lines between sites and links: thicker the more moves along them, red where something failed.

import { svg } from "../dom.js";

/** Draw them behind the cards of `map`; on a narrow screen, where all is one column, there are none. */
export function draw(map, flow) {
  map.querySelector(":scope > svg")?.remove();
  const box = map.getBoundingClientRect();
  const cards = new Map([...map.querySelectorAll("[data-site]")].map((card) => [card.dataset.site, at(card, box)]));
  const links = new Map([...map.querySelectorAll("[data-route]")].map((card) => [card.dataset.route, at(card, box)]));
  const columns = [...map.querySelectorAll(":scope > .column")].map((column) => column.getBoundingClientRect());
  if (columns.length < 3 || columns[0].right > columns[1].left) return;
  const most = Math.max(...flow.routes.map((route) => route.rate ?? 0), 1);
  const ports = new Map();
  const lines = flow.routes.flatMap((route) => {
    const middle = links.get(`${route.origin} to ${route.destination}`);
    const from = cards.get(route.origin_site), to = cards.get(route.destination_site);
    if (!middle || !from || !to) return [];
    const mood = route.failed ? "bad" : route.troubled ? "warn" : route.moving ? "good" : "none";
    const width = 1.5 + 4 * (route.rate ?? 0) / most;
    return [line(from, middle, mood, width, ports, route.origin_site), line(middle, to, mood, width, ports, route.destination_site, true)];
  });
  map.prepend(svg("svg.lines", { width: box.width, height: box.height, "aria-hidden": "true" }, lines));
}

function at(card, box) {
  const each = card.getBoundingClientRect();
  return { left: each.left - box.left, right: each.right - box.left, top: each.top - box.top, bottom: each.bottom - box.top };
}

/** A curve from one card to another; lines at a site are set below one another. */
function line(from, to, mood, width, ports, site, arrives = false) {
  const toTheRight = from.right <= to.left;
  const sideBySide = toTheRight || to.right <= from.left;
  const x1 = toTheRight ? from.right : from.left, x2 = toTheRight ? to.left : sideBySide ? to.right : to.left;
  const offset = (ports.get(site) ?? 0) * 14;
  ports.set(site, (ports.get(site) ?? 0) + 1);
  const port = (card, isSite) => (isSite ? Math.min(card.top + 26 + offset, card.bottom - 8) : (card.top + card.bottom) / 2);
  const y1 = port(from, !arrives), y2 = port(to, arrives);
  const bend = (x1 + x2) / 2;
  return svg(`path.line`, { d: `M${x1},${y1} C${bend},${y1} ${bend},${y2} ${x2},${y2}`, "data-mood": mood, "stroke-width": width.toFixed(1) });
}
