// A long list: asked for page by page as somebody scrolls, and only what is in sight is in the document.

import { el, show } from "./dom.js";
import { Refusal } from "./server.js";

const OVERSCAN = 8;

/** `columns` are {name, width, number, cell(item)}; `page(after, signal)` returns {items, next}; `empty` is a sentence. */
export class Rows {
  constructor({ label, columns, page, empty, size = 100 }) {
    Object.assign(this, { label, columns, page, empty, size });
    this.items = [];
    this.next = null;
    this.head = el("div.row.head", { role: "row" }, columns.map((column) =>
      el(column.number ? "span.cell.number" : "span.cell", { role: "columnheader" }, column.name)));
    this.body = el("div.body", { role: "rowgroup" });
    this.table = el("div.rows", { role: "table", "aria-label": label }, el("div", { role: "rowgroup" }, this.head), this.body);
    this.more = el("p.quiet.more");
    this.node = el("div.scroller", { tabindex: 0, role: "region", "aria-label": label }, this.table, this.more);
    this.table.style.setProperty("--columns", columns.map((column) => column.width ?? "minmax(0, 1fr)").join(" "));
    this.node.addEventListener("scroll", () => this.draw(), { passive: true });
    this.seen = new ResizeObserver(() => this.draw());
    this.seen.observe(this.node);
  }

  close() { this.seen.disconnect(); this.asking?.abort(); }

  /** Begin anew, with what `page` gives now. */
  async load() {
    this.asking?.abort();
    const asking = this.asking = new AbortController();
    try {
      const { items, next } = await this.page(null, asking.signal);
      this.items = items;
      this.next = next;
      this.node.scrollTop = 0;
      this.draw();
    } catch (error) { this.failed(error); }
  }

  /** Look again, as long as nobody has scrolled further than the first page. */
  async refresh() {
    if (this.items.length > this.size || this.busy) return;
    try {
      const { items, next } = await this.page(null, this.asking?.signal);
      if (this.items.length > this.size) return;
      this.items = items;
      this.next = next;
      this.draw();
    } catch (error) { this.failed(error); }
  }

  async further() {
    if (this.busy || !this.next) return;
    this.busy = true;
    try {
      const { items, next } = await this.page(this.next, this.asking?.signal);
      this.items = [...this.items, ...items];
      this.next = next;
    } catch (error) { this.failed(error); } finally { this.busy = false; }
    this.draw();
  }

  failed(error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    show(this.more, error.message);
  }

  draw() {
    const height = this.height ??= this.measure();
    const first = Math.max(0, Math.floor((this.node.scrollTop - this.head.offsetHeight) / height) - OVERSCAN);
    const last = Math.min(this.items.length, first + Math.ceil(this.node.clientHeight / height) + 2 * OVERSCAN);
    this.body.style.setProperty("height", `${this.items.length * height}px`);
    this.table.setAttribute("aria-rowcount", this.next ? -1 : this.items.length + 1);
    show(this.body, this.items.slice(first, last).map((item, index) => this.row(item, first + index, height)));
    show(this.more, this.items.length ? (this.next ? "more …" : "") : this.empty);
    if (this.next && last > this.items.length - OVERSCAN) this.further();
  }

  row(item, index, height) {
    const row = el("div.row", { role: "row", "aria-rowindex": index + 2, style: { top: `${index * height}px` } },
      this.columns.map((column) => el(column.number ? "span.cell.number" : "span.cell", { role: "cell" }, column.cell(item))));
    if (item.mood) row.dataset.mood = item.mood;
    return row;
  }

  measure() {
    const probe = el("div.row", { style: { visibility: "hidden" } }, el("span.cell", "x"));
    this.body.append(probe);
    const { height } = probe.getBoundingClientRect();
    probe.remove();
    if (!height) this.height = undefined;
    return height || 30;
  }
}
