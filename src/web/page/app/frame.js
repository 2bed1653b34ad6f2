// What stands around every view: the head with its links and languages, the foot, and the demo's picker.

import { el, icon, say, show } from "./dom.js";
import { answerStranger, claims, identity, isStrangerHere, isTheirs, person, signOut } from "./session.js";
import { settings } from "./settings.js";
import { keep } from "./store.js";
import { spoken, t } from "./words.js";

function languagePicker(changed) {
  const options = settings.languages.map(({ word, name }) => el("option", { value: word, text: name, selected: word === spoken() }));
  const choose = async () => {
    await changed(pick.value);
    // One whose texts did not come is not shown as chosen.
    pick.value = spoken();
  };
  const pick = el("select", { "aria-label": t("nav.language"), onchange: choose }, options);
  return pick;
}

/** The head. `changed(language)` is called when another one is chosen. */
export function head(changed) {
  const mine = el("a", { class: "mine-link", href: "/vouchers" }, icon("ticket"), el("span", { text: t("nav.mine") }));
  const number = el("b", { class: "number", hidden: true });
  mine.append(number);
  const brand = el("a", { class: "brand", href: "/" }, el("span", { class: "logo", "aria-hidden": "true" }), t("nav.brand"));
  return {
    node: el("header", { class: "head" }, brand, el("nav", { "aria-label": t("nav.label") }, mine, languagePicker(changed))),
    update() {
      const held = claims().filter(isTheirs).length;
      show(number, held > 0);
      say(number, String(held));
    },
  };
}

/** The foot: who is signed in, and the way out. */
export function foot(left) {
  const who = el("span", {});
  const out = el("button", {
    class: "quiet",
    type: "button",
    text: t("nav.sign_out"),
    onclick: () => {
      signOut();
      left();
    },
  });
  const node = el("footer", { class: "foot-line" }, who, out);
  return {
    node,
    update() {
      const known = person() || identity();
      show(node, Boolean(known) && !settings.demo);
      say(who, t("nav.signed_in"));
    },
  };
}

/** Asks whoever is signed in what is to become of a link of somebody else. `answered(drop)` is called with the drop of one that was let in. */
export function stranger(answered) {
  if (!isStrangerHere()) return null;
  const answer = (letIn) => () => answered(answerStranger(letIn));
  return el(
    "section",
    { class: "stranger", "aria-label": t("stranger.label") },
    el("p", { role: "status", text: t("stranger.text") }),
    el("button", { class: "small", type: "button", text: t("stranger.stay"), onclick: answer(false) }),
    el("button", { class: "quiet", type: "button", text: t("stranger.let_in"), onclick: answer(true) }),
  );
}

/** The demo's picker: be person N. `changed()` is called when somebody is somebody else. */
export function picker(changed) {
  if (!settings.demo) return null;
  const number = Number(person().split("-")[1] ?? Number.NaN);
  const field = el("input", {
    id: "person",
    name: "person",
    type: "number",
    inputmode: "numeric",
    min: "0",
    max: "999999",
    required: true,
    value: Number.isNaN(number) ? "" : String(number),
  });
  const be = (event) => {
    event.preventDefault();
    if (!field.reportValidity()) return;
    signOut();
    keep("person", `person-${String(Number(field.value)).padStart(6, "0")}`);
    changed();
  };
  return el(
    "form",
    { class: "demo", onsubmit: be },
    el("label", { for: "person", text: t("demo.label") }),
    field,
    el("button", { class: "small", type: "submit", text: t("demo.be") }),
  );
}
