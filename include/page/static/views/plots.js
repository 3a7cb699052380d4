// Plots, where people would rather look than read; each also as CSV, and as a table for those who cannot look.

import { el, show } from "../dom.js";
import { address, get, Refusal } from "../server.js";
import { age, count, rate, size } from "../words.js";

const PLOTS = [
  { path: "archived", title: "Archived a day, by instrument", days: [7, 30, 90, 365], chosen: 30, bars: true, say: size },
  { path: "latency", title: "From filing to the first archive", days: [7, 30, 90], chosen: 30, say: age, steps: [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800] },
  { path: "links", title: "Use of the links", days: [1, 2, 7], chosen: 1, say: rate },
  { path: "levels", title: "How full locations are", days: [1, 2, 7, 14], chosen: 2, say: (value) => `${Number(value.toFixed(1))} %`, top: 100 },
];
const COLOURS = ["#2f7ed8", "#e8883a", "#2f9e63", "#a05fc9", "#c4473f", "#8a7a2f", "#3aa6b9"];
const REFRESH_MS = 60000;

export function open(where) {
  const shown = PLOTS.map((plot) => new Shown(plot));
  show(where, el("div.plots", shown.map((each) => each.node)));
  const all = () => shown.forEach((each) => each.draw());
  library().then(() => shown.forEach((each) => each.load()));
  const timer = setInterval(() => shown.forEach((each) => each.load()), REFRESH_MS);
  addEventListener("themechange", all);
  return { close() { clearInterval(timer); removeEventListener("themechange", all); shown.forEach((each) => each.close()); } };
}

let loaded = null;

/** uPlot, once. */
function library() {
  loaded ??= new Promise((resolve, reject) => {
    document.head.append(el("link", { rel: "stylesheet", href: "vendor/uPlot.min.css" }), el("script", { src: "vendor/uPlot.iife.min.js", onload: resolve, onerror: reject }));
  });
  return loaded;
}

class Shown {
  constructor(plot) {
    this.plot = plot;
    this.days = plot.chosen;
    this.canvas = el("div.canvas");
    this.legend = el("ul.legend");
    this.values = el("div");
    this.csv = el("a", { download: `${plot.path}.csv` }, "CSV");
    const days = el("select", { "aria-label": `Days: ${plot.title}`, onchange: (event) => { this.days = Number(event.target.value); this.load(); } },
      plot.days.map((each) => el("option", { value: each, selected: each === plot.chosen }, each === 1 ? "24 h" : `${each} days`)));
    this.node = el("section.panel.plot", { "aria-label": plot.title }, el("header", el("h2", plot.title), el("span.tools", days, " ", this.csv)),
      this.canvas, this.legend, el("details", { "data-key": `table-${plot.path}`, ontoggle: (event) => event.target.open && this.table() }, el("summary", "As a table"), this.values));
    this.seen = new ResizeObserver(() => this.draw());
    this.seen.observe(this.canvas);
  }

  close() { this.seen.disconnect(); this.chart?.destroy(); }

  async load() {
    this.csv.href = address(`plots/${this.plot.path}`, { days: this.days, format: "csv" });
    try {
      this.data = await get(`plots/${this.plot.path}`, { days: this.days });
      this.drawnWidth = 0;
      this.draw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(this.canvas, el("p.empty", error.message));
    }
  }

  draw() {
    if (!this.data || !window.uPlot) return;
    const theme = document.documentElement.dataset.theme, width = Math.floor(this.canvas.clientWidth);
    if (!width || (width === this.drawnWidth && theme === this.drawnTheme)) return;
    Object.assign(this, { drawnWidth: width, drawnTheme: theme });
    this.chart?.destroy();
    this.chart = null;
    if (!this.data.at.length) { show(this.canvas, el("p.empty", "Nothing yet.")); show(this.legend); return; }
    show(this.canvas);
    show(this.legend, this.data.lines.map((line, index) => el("li", el("span.key", { style: { background: COLOURS[index % COLOURS.length] } }), line.name, " ", el("span.quiet.now", this.last(line)))));
    const chart = this.chart = new uPlot(this.options(width), [this.data.at, ...this.drawn()], this.canvas);
    chart.root.setAttribute("role", "img");
    chart.root.setAttribute("aria-label", `${this.plot.title}: ${this.data.lines.map((line) => `${line.name} ${this.last(line)}`).join(", ")}`);
  }

  /** Bars of several lines stand on one another, so the highest is drawn first. */
  drawn() {
    if (!this.plot.bars) return this.data.lines.map((line) => line.values);
    const sums = this.data.at.map(() => 0);
    return this.data.lines.map((line) => line.values.map((value, index) => (sums[index] += value ?? 0))).reverse();
  }

  options(width) {
    const colours = getComputedStyle(document.documentElement);
    const line = colours.getPropertyValue("--line"), quiet = colours.getPropertyValue("--quiet");
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "11px system-ui, sans-serif" };
    const bars = this.plot.bars && uPlot.paths.bars({ size: [0.7, 40] });
    const series = this.data.lines.map((each, index) => {
      const colour = COLOURS[index % COLOURS.length];
      return { label: each.name, stroke: colour, width: bars ? 0 : 1.6, fill: bars ? colour : undefined, paths: bars || undefined, points: { show: this.data.at.length < 40 && !bars, size: 5 }, spanGaps: true };
    });
    const options = {
      width, height: 230, legend: { show: false }, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { drag: { x: false, y: false }, y: false }, scales: { x: { range: (_, low, high) => (bars ? [low - 43200, high + 43200] : [low, high]) }, y: { range: (_, low, high) => [0, this.plot.top ?? Math.max(high * 1.08, 1)] } },
      axes: [{ ...axis, size: 28, values: (_, moments) => this.moments(moments) }, { ...axis, size: 72, incrs: this.plot.steps, values: (_, values) => values.map((value) => this.plot.say(value)) }],
      series: [{}, ...series],
      hooks: { setCursor: [(chart) => this.point(chart.cursor.idx)] },
    };
    if (bars) options.series = [{}, ...series.reverse()];
    return options;
  }

  moments(moments) {
    const days = this.days > 2;
    let before = "";
    return moments.map((moment) => {
      const text = new Date(moment * 1000).toISOString();
      const day = text.slice(5, 10), clock = text.slice(11, 16);
      const shown = days || clock === "00:00" ? day : clock;
      if (shown === before) return "";
      before = shown;
      return shown;
    });
  }

  point(index) {
    [...this.legend.querySelectorAll(".now")].forEach((node, line) => {
      const value = index === null || index === undefined ? null : this.data.lines[line].values[index];
      node.textContent = index === null || index === undefined ? this.last(this.data.lines[line]) : value === null ? "–" : this.plot.say(value);
    });
  }

  last(line) {
    const value = line.values.findLast((each) => each !== null);
    return value === undefined ? "–" : this.plot.say(value);
  }

  table() {
    if (!this.data) return;
    show(this.values, el("div.wide.low", { tabindex: 0, role: "region", "aria-label": this.plot.title }, el("table.data",
      el("thead", el("tr", el("th", { scope: "col" }, "UTC"), this.data.lines.map((line) => el("th.number", { scope: "col" }, line.name)))),
      el("tbody", this.data.at.map((at, index) => el("tr", el("th", { scope: "row" }, new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")),
        this.data.lines.map((line) => el("td.number", line.values[index] === null ? "–" : this.plot.say(line.values[index])))))))), el("p.quiet", `${count(this.data.at.length)} moments.`));
  }
}
