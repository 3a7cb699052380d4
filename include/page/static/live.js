// The flow as it changes: server-sent events, and polling where those do not get through. Mends itself.

import { address, get, Refusal } from "./server.js";

const SILENT_MS = 25000;
const POLL_MS = 5000;
const AGAIN_MS = 30000;

/** Calls `onFlow` with each flow, and `onState` with "live", "polling", or a sentence about what is wrong. */
export class Live {
  constructor({ onFlow, onState }) {
    this.onFlow = onFlow;
    this.onState = onState;
    this.failures = 0;
    this.closed = false;
    document.addEventListener("visibilitychange", () => this.resume());
    addEventListener("pagehide", () => this.stop());
    addEventListener("pageshow", (event) => { if (event.persisted) this.start(); });
    this.start();
  }

  start() {
    this.closed = false;
    this.listen();
  }

  stop() {
    this.closed = true;
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
  }

  /** Nobody looks at a hidden page: it neither listens nor polls. */
  resume() {
    if (document.hidden) { this.stop(); return; }
    if (this.closed) this.start();
  }

  listen() {
    this.source?.close();
    const source = new EventSource(address("flow/events"));
    this.source = source;
    const alive = () => { this.failures = 0; this.watch(); this.onState("live"); };
    source.addEventListener("open", alive);
    source.addEventListener("alive", alive);
    source.addEventListener("flow", (event) => {
      alive();
      this.onFlow(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      // A stream that ended as it should is asked for again by the browser; one that was refused is not.
      this.failures += 1;
      if (source.readyState === EventSource.CLOSED || this.failures > 2) this.poll();
    });
    this.watch();
  }

  /** A connection that is silently dead is noticed. */
  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.failures += 1; this.poll(); }, SILENT_MS);
  }

  async poll() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    if (this.closed) return;
    this.pollingSince ??= Date.now();
    try {
      this.onFlow(await get("flow"));
      this.onState("polling");
      this.failures = 0;
      if (Date.now() - this.pollingSince > AGAIN_MS || this.wasAway) {
        this.pollingSince = null;
        this.wasAway = false;
        this.listen();
        return;
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.wasAway = true;
      this.onState(error.message, error.status);
      if (error.status === 403) return;
    }
    if (!this.closed) this.timer = setTimeout(() => this.poll(), POLL_MS);
  }
}
