// Elements from what they are made of. What comes from outside only ever becomes text.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: `el("td.number", {title: "…"}, "12", child)`. `on…` are listeners; null, undefined and false are left out. */
export function el(what, ...rest) {
  const [tag, ...classes] = what.split(".");
  return fill(document.createElement(tag || "div"), classes, rest);
}

/** The same for SVG. */
export function svg(what, ...rest) {
  const [tag, ...classes] = what.split(".");
  return fill(document.createElementNS(SVG, tag), classes, rest);
}

function fill(node, classes, rest) {
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const part of rest.flat(9)) {
    if (part === null || part === undefined || part === false) continue;
    if (part instanceof Node) node.append(part);
    else if (typeof part === "object") attributes(node, part);
    else node.append(String(part));
  }
  return node;
}

function attributes(node, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else if (name === "style") Object.entries(value).forEach(([key, said]) => node.style.setProperty(key, said));
    else node.setAttribute(name, value === true ? "" : value);
  }
}

/** Put these in the place of all that is in there, and keep the focus and what is open where it was. */
export function show(node, ...children) {
  const focused = document.activeElement;
  const key = node.contains(focused) ? focused.dataset?.key ?? focused.id : null;
  const open = new Set([...node.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key));
  node.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  for (const each of node.querySelectorAll("details[data-key]")) if (open.has(each.dataset.key)) each.open = true;
  if (key) [...node.querySelectorAll("[data-key], [id]")].find((each) => (each.dataset.key ?? each.id) === key)?.focus();
}
