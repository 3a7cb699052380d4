// What several views show alike: the state of something, a package's link, a copy button.

import { el } from "./dom.js";
import { logPath } from "./airflow.js";
import { plain } from "./words.js";

const MOODS = {
  failed: "bad", permanent: "bad", integrity: "bad", corrupt: "bad", missing: "bad", refused: "bad", gone: "bad", full: "bad", read_only: "bad",
  deletion_failed: "bad", lost: "warn", transient: "warn", waiting: null, pressed: "warn", pending: null,
  in_progress: "good", transferring: "good", scheduled: "good", archived: "done", completed: "done", accepted: "done", present: "done",
  staged: "done", approved: "done", well: "done", listening: "done", silent: "bad", stopped: "warn", active: "good",
};

export function state(word) {
  return el("span.state", { "data-mood": MOODS[word] ?? null }, plain(word));
}

export function packageLink(name, { id } = {}) {
  return el("a.name", { href: `#/package/${encodeURIComponent(id ? `package:${id}` : name)}`, title: name, "data-key": `package-${name}` }, name);
}

export function observationLink(uuid) {
  return el("a.mono", { href: `#/packages?q=${encodeURIComponent(uuid)}`, title: uuid }, uuid.slice(0, 8));
}

/** A link to the log of an attempt in Airflow, if it was Airflow's. */
export function logLink(attempt, words = "log") {
  const path = logPath(attempt);
  return path && el("a", { href: path, "data-airflow": true, target: parent === window ? "_blank" : null, rel: "noopener",
    "aria-label": `${words} of attempt ${attempt.number ?? ""} in Airflow` }, words);
}

/** A labelled input of a filter. */
export function filter(label, input) {
  return el("label.filter", el("span", label), input);
}

export function choice(name, values, chosen, onchange) {
  const options = [el("option", { value: "" }, "any"), ...values.map((value) => el("option", { value, selected: value === chosen }, plain(value)))];
  return el("select", { name, onchange }, options);
}
