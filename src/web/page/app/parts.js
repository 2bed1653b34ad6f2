// What several views show: a voucher's card, a word for how a drop stands, a countdown.

import { call } from "./api.js";
import { el, icon, say, set, show } from "./dom.js";
import { device, ticketFor } from "./session.js";
import { nameOf, phaseOf, phaseWord, remaining, termsOf } from "./facts.js";
import { money, t } from "./words.js";

/** What a voucher takes off, large. */
function stub(facts) {
  const { voucher } = facts;
  if (!voucher) return el("div", { class: "stub" }, icon("ticket"));
  const amount = money(voucher.face, voucher.currency);
  const face = el("span", { class: "face", text: amount });
  // As large as it has room for.
  face.style.setProperty("--letters", String(amount.length));
  return el("div", { class: "stub" }, face, el("span", { class: "off", text: t("terms.off") }));
}

/** A voucher's card: what it takes off, and on what terms. `heading` is the level of its name. */
export function voucherCard(facts, heading = "h1", ...more) {
  const lines = termsOf(facts).map((text) => el("li", { text }));
  const body = el("div", { class: "terms" }, el(heading, { text: nameOf(facts) }), el("ul", {}, lines), more);
  return el("article", { class: "voucher" }, stub(facts), body);
}

/** A word for how a drop stands, which is kept up to date by `update(facts)`. */
export function phaseChip() {
  const node = el("span", { class: "chip" });
  return {
    node,
    update(facts) {
      const phase = phaseOf(facts);
      set(node, "data-phase", phase);
      say(node, phaseWord(phase));
    },
  };
}

/**
 * The button by which somebody gives a held unit back, at the second tap. `given()` is called when it may have gone back.
 * `of(claim)` says which claim it is.
 */
export function giveBack(given) {
  let [claim, sure] = [null, 0];
  const node = el("button", { class: "quiet", type: "button", onclick: tap });
  const hint = el("p", { class: "fine", role: "status" });
  const ask = (asked) => {
    sure = asked ? Date.now() : 0;
    say(node, asked ? t("held.sure") : t("held.give_back"));
    set(node, "data-sure", asked ? "" : null);
  };
  async function tap() {
    if (!sure) return ask(true);
    ask(false);
    say(hint, "");
    const path = `/v1/claims/${encodeURIComponent(claim.claim_id)}/cancel`;
    const answer = await call("POST", path, { ticket: ticketFor(claim.drop), device: device() });
    // What is not held any more, or nobody knows of, is looked at too.
    if (answer.status === 200 || answer.code === "not_held") given();
    else say(hint, t("held.not_given"));
  }
  ask(false);
  return {
    node: el("div", { class: "give-back" }, node, hint),
    of(held) {
      if (held?.claim_id !== claim?.claim_id) ask(false);
      claim = held;
      // Who thought better of it, and taps a minute later, is asked again.
      if (sure && Date.now() - sure > 10_000) ask(false);
    },
  };
}

/** What stands below a number of days, hours, minutes or seconds. */
function unitWord(name, n) {
  return {
    days: t("time.days", { n }),
    hours: t("time.hours", { n }),
    minutes: t("time.minutes", { n }),
    seconds: t("time.seconds", { n }),
  }[name];
}

/** A countdown in boxes. Screen readers are told at a few moments only, by whoever owns it. `short` leaves out hours of 0. */
export function countdown(short = false) {
  const parts = ["days", "hours", "minutes", "seconds"].map((name) => {
    const digits = el("b", { text: "00" });
    const word = el("span", {});
    return { name, digits, word, box: el("div", { class: "unit" }, digits, word) };
  });
  const node = el("div", { class: "countdown", role: "timer", "aria-live": "off" }, parts.map((part) => part.box));
  return {
    node,
    update(ms) {
      const left = remaining(ms);
      for (const { name, digits, word, box } of parts) {
        say(digits, String(left[name]));
        say(word, unitWord(name, Number(left[name])));
        if (name === "days") show(box, left.days > 0);
        if (name === "hours") show(box, !short || left.days > 0 || left.hours !== "00");
        if (name === "seconds") show(box, left.days === 0);
      }
    },
  };
}

/** How much is left of a drop, as a bar and in words. */
export function stockBar() {
  const fill = el("i", {});
  const words = el("p", {});
  const node = el("div", { class: "stock" }, el("div", { class: "bar", "aria-hidden": "true" }, fill), words);
  return {
    node,
    update(left, total, text) {
      fill.style.setProperty("inline-size", `${total > 0 ? Math.max(left > 0 ? 2 : 0, (100 * left) / total) : 0}%`);
      say(words, text);
    },
  };
}
