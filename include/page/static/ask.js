// Before anything is done: what it means, a reason, and whether it is meant. Afterwards: what came of it.

import { el, show } from "./dom.js";
import { Refusal } from "./server.js";

/**
 * Ask for confirmation and whatever else is needed, then do it.
 * `fields` are {name, label, type, value, required, options}; `act` gets their values, and returns a sentence.
 */
export function ask({ title, text, list = [], fields = [], reason = "required", confirm, danger = false, act }) {
  const all = reason === "none" ? fields : [...fields, { name: "reason", label: reason === "required" ? "Reason" : "Reason (optional)",
    required: reason === "required", placeholder: "for whoever wonders later" }];
  return new Promise((resolve) => {
    const wrong = el("p.wrong-input", { role: "alert" });
    const go = el(danger ? "button.danger" : "button.main", { type: "submit" }, confirm);
    const form = el("form", { method: "dialog", novalidate: true },
      el("h2", { id: "ask-title" }, title), text && el("p", text), list.length > 0 && el("ul", list.map((each) => el("li", each))),
      all.map(field), wrong,
      el("div.buttons", el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
    const dialog = el("dialog", { "aria-labelledby": "ask-title" }, form);
    let done = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const missing = [...form.elements].find((input) => !input.checkValidity());
      if (missing) { show(wrong, `${missing.dataset.label} is missing, or is not as it should be.`); missing.focus(); return; }
      const values = Object.fromEntries([...form.elements].filter((input) => input.name)
        .map((input) => [input.name, input.type === "checkbox" ? input.checked : input.value.trim()]));
      go.disabled = true;
      try {
        done = (await act(values)) ?? "Done.";
        dialog.close();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        show(wrong, error.message);
        go.disabled = false;
      }
    });
    dialog.addEventListener("close", () => { dialog.remove(); if (done) tell(done); resolve(done); });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("input, select, textarea") ?? go).focus();
  });
}

function field({ name, label, type = "text", options, ...rest }) {
  const common = { name, id: `ask-${name}`, "data-label": label, ...rest };
  const input = options ? el("select", common, options.map((each) => el("option", { value: each }, each)))
    : el("input", { type, autocomplete: "off", maxlength: 1000, ...common });
  if (rest.value !== undefined && options) input.value = rest.value;
  return el("label.field", { for: `ask-${name}` }, el("span", label), input);
}

/** Say what came of it; read aloud, and gone after a while. */
export function tell(sentence) {
  const said = document.getElementById("said");
  show(said, el("p", sentence));
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => show(said), 12000);
}

/** A button that is there for those who may; nothing for others. */
export function button(name, onclick, { danger = false, allowed = true, key = name } = {}) {
  return allowed && el(danger ? "button.small.danger" : "button.small", { type: "button", onclick, "data-key": key }, name);
}
