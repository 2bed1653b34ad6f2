// The page: which view an address means, and the beat that keeps it up to date.

import { between, wait } from "./api.js";
import { el, show } from "./dom.js";
import { DropView } from "./drop.js";
import { foot, head, picker, stranger } from "./frame.js";
import { HomeView } from "./home.js";
import { identity, isStrangerHere, takeOver, ticketFor } from "./session.js";
import { settings } from "./settings.js";
import { onElsewhere } from "./store.js";
import { VouchersView } from "./vouchers.js";
import { learn, t } from "./words.js";

const TICK_MS = 200;
/** From when on it is said that the page is not whole yet. */
const LATE_MS = 4_000;
const LEARN_AGAIN_MS = [1_000, 10_000];

let view = null;
let frame = null;

/** The drop that an address names; nothing if it names none, also where nobody can read it. */
function dropOf(path) {
  try {
    return decodeURIComponent(/^\/d\/([^/]+)\/?$/.exec(path)?.[1] ?? "");
  } catch {
    return "";
  }
}

function viewOf(path) {
  const drop = dropOf(path);
  if (drop) return new DropView(drop, go);
  if (/^\/vouchers\/?$/.test(path)) return new VouchersView();
  return new HomeView();
}

function render() {
  view?.end();
  view = viewOf(location.pathname);
  frame = { head: head(chooseLanguage), foot: foot(render) };
  const bars = [stranger(answered), picker(render)].filter(Boolean);
  document.body.replaceChildren(
    el("a", { class: "skip", href: "#main", text: t("nav.skip"), onclick: skip }),
    frame.head.node,
    ...bars,
    view.node,
    frame.foot.node,
  );
  tick();
}

/** Somebody else was let in, with a ticket for a drop, or was not. */
function answered(drop) {
  lead(drop);
  render();
}

function skip(event) {
  event.preventDefault();
  const main = document.querySelector("main");
  main.tabIndex = -1;
  main.focus();
}

/** Leads elsewhere on the page; "sign_in" leads to the sponsor's platform, for a drop. */
function go(path, drop = "") {
  if (path === "sign_in") {
    location.assign(settings.login.replace("{drop}", encodeURIComponent(drop)));
    return;
  }
  history.pushState(null, "", path);
  render();
  window.scrollTo(0, 0);
  const title = document.querySelector("main h1");
  if (title) {
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
  }
}

async function chooseLanguage(language) {
  if (await learn(language)) render();
}

function tick() {
  view.tick();
  frame.head.update();
  frame.foot.update();
  document.title = view.title === t("nav.brand") ? view.title : `${view.title} · ${t("nav.brand")}`;
}

/** Links within the page change the view, not the document. */
function follow(event) {
  const link = event.target.closest?.("a[href^='/']");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.defaultPrevented;
  if (!link || !plain) return;
  event.preventDefault();
  go(link.getAttribute("href"));
}

/** Leads whoever was handed over to the drop of their ticket. */
function lead(drop) {
  if (drop && location.pathname === "/") history.replaceState(null, "", `/d/${encodeURIComponent(drop)}`);
  return drop;
}

/** Takes over who somebody is from the address, also when it changes while the page is open. */
const arrive = () => lead(takeOver());

/** Learns the phone's language, however long it takes: without its texts there is nothing to show but that they are late. */
async function learnAtLast() {
  const late = document.getElementById("late");
  const timer = setTimeout(() => show(late, true), LATE_MS);
  const [least, most] = LEARN_AGAIN_MS;
  for (let ms = least; !(await learn()); ms = Math.min(2 * ms, most)) {
    show(late, true);
    await wait(between(ms, 1.5 * ms));
  }
  clearTimeout(timer);
}

arrive();
await learnAtLast();
document.addEventListener("click", follow);
window.addEventListener("popstate", render);
// A page that the browser has put aside, and shows again as it was, may be of somebody who has left since.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) render();
});
window.addEventListener("hashchange", () => {
  if (arrive() || identity() || isStrangerHere()) render();
});
onElsewhere((what) => {
  // Another tab has a ticket, a claim or a wish of this person: this one is not to know less.
  if (what === undefined || ["person", "tickets", "account"].includes(what)) render();
  if (what === "attempts" && view.claiming && ticketFor(view.id)) view.claiming.look();
});
render();
setInterval(tick, TICK_MS);
