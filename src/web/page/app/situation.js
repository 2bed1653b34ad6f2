// What the page says, and what its button does, in every situation that there is. One place, so that none is forgotten: a test sees
// each of them.

import { clock } from "./clock.js";
import { phaseOf } from "./facts.js";
import { isHeld } from "./session.js";
import { settings } from "./settings.js";
import { deadline, t } from "./words.js";

/** What stands in the way, by the service's code: title, text, and what may be done about it. */
function refusal(code) {
  return {
    sold_out: [t("refused.sold_out"), t("refused.sold_out_text"), "none"],
    closed: [t("refused.closed"), t("refused.closed_text"), "none"],
    paused: [t("refused.paused"), t("refused.paused_text"), "none"],
    given_back: [t("refused.given_back"), t("refused.given_back_text"), "once_more"],
    lapsed: [t("refused.lapsed"), t("refused.lapsed_text"), "once_more"],
    cancelled: [t("refused.cancelled"), t("refused.cancelled_text"), "once_more"],
    once: [t("refused.once"), t("refused.once_text"), "elsewhere"],
    limit_reached: [t("refused.limit"), t("refused.limit_text"), "mine"],
    not_eligible: [t("refused.not_eligible"), t("refused.not_eligible_text"), "none"],
    blocked: [t("refused.blocked"), t("refused.blocked_text"), "none"],
    ticket_missing: [t("refused.sign_in"), t("refused.sign_in_text"), "sign_in"],
    ticket_invalid: [t("refused.ticket_invalid"), t("refused.ticket_invalid_text"), "sign_in"],
    ticket_expired: [t("refused.ticket_expired"), t("refused.ticket_expired_text"), "sign_in"],
    identity_missing: [t("refused.sign_in"), t("refused.sign_in_text"), "sign_in"],
    identity_invalid: [t("refused.ticket_invalid"), t("refused.ticket_invalid_text"), "sign_in"],
    identity_expired: [t("refused.ticket_expired"), t("refused.ticket_expired_text"), "sign_in"],
    challenge_failed: [t("refused.challenge"), t("refused.challenge_text"), "again"],
    unknown_drop: [t("refused.unknown_drop"), t("refused.unknown_drop_text"), "none"],
    not_found: [t("refused.no_desk"), t("refused.no_desk_text"), "sign_in"],
  }[code];
}

/** What is waited for before the next try. */
function delay(code) {
  return {
    overloaded: [t("wait.overloaded"), t("wait.overloaded_text")],
    unavailable: [t("wait.unavailable"), t("wait.unavailable_text")],
    rate_limited: [t("wait.rate_limited"), t("wait.rate_limited_text")],
    not_open: [t("wait.not_open"), t("wait.not_open_text")],
    offline: [t("wait.offline"), t("wait.offline_text")],
  }[code];
}

const inSeconds = (until) => Math.max(0, Math.ceil((until - clock.now()) / 1_000));
const retryIn = (until) => {
  const n = inSeconds(until);
  return n > 0 ? t("wait.retry_in", { n }) : t("wait.retry_now");
};

/** The way to the sponsor's sign-in, where the page knows it. */
const signIn = () => (settings.login ? { text: t("button.sign_in"), act: "sign_in" } : null);

/** How units stand that are kept until they are paid for; nothing where there are none. */
function item(claiming, facts) {
  const held = claiming.claims.filter(isHeld);
  const button = { text: t("done.show_item"), act: "vouchers" };
  if (!held.length) {
    if (!claiming.claims.every((claim) => claim.status === "confirmed")) return null;
    return { tone: "good", title: t("held.paid"), text: t("held.paid_text"), button };
  }
  const until = Math.min(...held.map((claim) => Date.parse(claim.hold_expires_at)));
  if (until <= clock.now()) return { tone: "busy", title: t("held.over"), text: t("held.over_text"), button };
  const when = deadline(until, clock.now(), facts?.zone ?? held[0].terms?.zone);
  const text = t("held.text", { when });
  const one = claiming.claims.length === 1 ? held[0] : null;
  return { tone: "good", title: t("held.title"), text, until, giveBack: one, button };
}

function claimed(claiming, facts) {
  const more = facts && claiming.claims.length < facts.limit_per_person && phaseOf(facts) === "open";
  const ofItem = item(claiming, facts);
  if (ofItem) return { ...ofItem, more };
  const title = claiming.again ? t("done.again") : t("done.title");
  const isItem = facts && !facts.voucher;
  const button = { text: isItem ? t("done.show_item") : t("done.show"), act: "vouchers" };
  const words = facts?.voucher?.qr_required ? t("done.qr") : t("done.text");
  return { tone: "good", title, text: isItem ? t("done.item") : words, button, more };
}

function refused({ code, requestId, claims, elsewhere }, facts) {
  const [title, text, help] = refusal(code) ?? [t("refused.other"), t("refused.other_text"), "again"];
  const button = {
    none: null,
    mine: claims?.length ? { text: t("done.show"), act: "vouchers" } : null,
    // Who gave one back, or was too late, may have another where the drop says so and there is one.
    once_more:
      facts && facts.item?.claim_again !== false && phaseOf(facts) === "open" ? { text: t("button.once_more"), act: "claim" } : null,
    elsewhere: elsewhere ? { text: t("button.elsewhere"), act: "elsewhere" } : null,
    sign_in: signIn(),
    again: { text: t("button.again"), act: "again" },
  }[help];
  const calm = ["sold_out", "closed", "paused", "limit_reached", "once", "given_back", "lapsed", "cancelled"].includes(code);
  const fine = refusal(code) ? "" : t("refused.number", { code, number: requestId || "–" });
  return { tone: calm ? "calm" : "bad", title, text, fine, button };
}

function underWay(claiming) {
  const { kind, code, until, tries } = claiming;
  if (kind === "sending") {
    return { tone: "busy", title: t("claim.sending"), text: t("claim.sending_text"), button: busy(t("claim.button")) };
  }
  if (kind === "asking") {
    const offline = code === "offline";
    const title = offline ? t("asking.offline") : t("asking.title");
    const text = offline ? t("asking.offline_text") : t("asking.text");
    const fine = until ? retryIn(until) : "";
    return { tone: "busy", title, text, fine, stop: Boolean(until), button: busy(t("asking.button")) };
  }
  const [title, text] = delay(code);
  const fine = `${retryIn(until)} · ${t("wait.tries", { n: tries })}`;
  return { tone: "warn", title, text, fine, stop: true, button: busy(t("wait.button")) };
}

const busy = (text) => ({ text, act: null, busy: true });

/** How it stands with the ticket. */
function readiness(tickets) {
  switch (tickets.kind) {
    case "working":
      return t("ticket.working");
    case "waiting":
      return tickets.code === "not_open" ? t("ticket.not_yet") : t("ticket.waiting");
    case "ready":
      return t("ticket.ready");
    default:
      return "";
  }
}

/** When the ticket is asked for again. It is fine print, as it changes each second and the text is spoken whenever it changes. */
const nextLook = ({ kind, code, until }) => (kind === "waiting" && code !== "not_open" ? retryIn(until) : "");

function scheduled(facts, tickets) {
  const ready = tickets.kind === "ready";
  const title = ready ? t("scheduled.ready") : t("scheduled.title");
  const text = readiness(tickets) || t("scheduled.text");
  return { tone: ready ? "ready" : "calm", title, text, fine: nextLook(tickets), button: { text: t("button.not_yet"), act: null } };
}

function open(tickets) {
  if (tickets.kind === "ready") {
    return { tone: "go", title: t("open.title"), text: t("open.text"), button: { text: t("button.claim"), act: "claim" } };
  }
  return { tone: "busy", title: t("open.preparing"), text: readiness(tickets), fine: nextLook(tickets), button: busy(t("open.button")) };
}

/**
 * Title, text, fine print, tone and button. Title and text are spoken by screen readers whenever they change: what runs by the second
 * is fine print. `facts` is nothing as long as the service was not heard of.
 */
export function situation({ facts, trouble, tickets, claiming, demo }) {
  if (claiming.kind === "done") return claimed(claiming, facts);
  if (claiming.kind === "refused") return refused(claiming, facts);
  if (claiming.kind !== "idle") return underWay(claiming);
  if (!facts) {
    if (!trouble) return { tone: "loading", title: t("loading.title"), text: "", button: null };
    if (refusal(trouble)) return refused({ code: trouble });
    return { tone: "warn", title: t("loading.failed"), text: t("loading.failed_text"), button: null };
  }
  const phase = phaseOf(facts);
  if (phase === "closed" || phase === "sold_out" || phase === "paused") return refused({ code: phase });
  if (tickets.kind === "refused") return refused(tickets);
  if (tickets.kind === "none" && tickets.expired) return refused({ code: "ticket_expired" });
  if (tickets.kind === "none") {
    const text = demo ? t("demo.choose") : t("refused.sign_in_text");
    const button = demo ? null : signIn();
    return { tone: "calm", title: t("refused.sign_in"), text, button };
  }
  return phase === "scheduled" ? scheduled(facts, tickets) : open(tickets);
}
