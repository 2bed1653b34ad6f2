// What the phone keeps. A browser that keeps nothing gets a page that forgets at the next reload, and works till then.

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
  try {
    const text = place(area)?.getItem(key);
    return text ? JSON.parse(text) : (forgotten.get(key) ?? null);
  } catch {
    return forgotten.get(key) ?? null;
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

/** Calls back when another tab has changed something. */
export function onElsewhere(changed) {
  window.addEventListener("storage", (event) => {
    if (event.key?.startsWith("claimrush:")) changed(event.key.slice("claimrush:".length));
  });
}
