// What the phone keeps. A browser that keeps nothing, or no more than it has, gets a page that forgets at the next reload, and works
// till then.

/** What the browser did not take, which is newer than what it has under the same name. */
const forgotten = new Map();

function place(area) {
  try {
    return area === "tab" ? window.sessionStorage : window.localStorage;
  } catch {
    return null;
  }
}

/** What was kept under a name; `area` is "tab" or "phone". */
export function recall(name, area = "phone") {
  const key = `claimrush:${name}`;
  if (forgotten.has(key)) return forgotten.get(key);
  try {
    const text = place(area)?.getItem(key);
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** Keeps a value under a name; nothing for `null`. */
export function keep(name, value, area = "phone") {
  const key = `claimrush:${name}`;
  forgotten.delete(key);
  try {
    if (value === null) place(area)?.removeItem(key);
    else place(area).setItem(key, JSON.stringify(value));
  } catch {
    if (value !== null) forgotten.set(key, value);
  }
}

/** Calls back when another tab has changed something; with nothing when it may have been everything. */
export function onElsewhere(changed) {
  window.addEventListener("storage", ({ key }) => {
    if (key !== null && !key.startsWith("claimrush:")) return;
    // Who has left there has left here too, with what this tab alone remembers of them.
    if (key === null || key === "claimrush:person") forgotten.clear();
    changed(key?.slice("claimrush:".length));
  });
}
