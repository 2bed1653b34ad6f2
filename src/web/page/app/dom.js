// Elements, made without a line of HTML in a string.

/** An element with attributes (`class`, `text`, `on…` handlers among them) and children. */
export function el(tag, attributes = {}, ...children) {
  const svg = tag === "svg" || tag === "path" || tag === "circle";
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a text, and touches nothing if it stands there: screen readers speak what changes. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows or hides. */
export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/** Sets an attribute; takes it away for `null`. */
export function set(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

/** One of the page's icons. */
export function icon(name) {
  const paths = {
    back: "M15 5l-7 7 7 7",
    check: "M5 13l4.5 4.5L19 7",
    go: "M9 5l7 7-7 7",
    ticket: "M4 7h16v3.5a1.5 1.5 0 0 0 0 3V17H4v-3.5a1.5 1.5 0 0 0 0-3zM14 7v2m0 2v2m0 2v2",
  };
  return el(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    el("path", { d: paths[name] }),
  );
}
