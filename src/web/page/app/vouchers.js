// The view of what somebody has: code, a QR code that changes, how long and where it holds, and what has become of it.

import { call, wait } from "./api.js";
import { clock } from "./clock.js";
import { el, icon, say, set, show } from "./dom.js";
import { claims, device, holder, isHeld, putClaims, ticketFor } from "./session.js";
import { remaining } from "./facts.js";
import { giveBack, voucherCard } from "./parts.js";
import { deadline, instant, t } from "./words.js";

const AGAIN_MS = 4_000;
/** How often it is looked what became of units that are held. */
const LOOK_AGAIN_MS = 15_000;

function statusWord(status) {
  return {
    issued: t("status.issued"),
    confirmed: t("status.confirmed"),
    held: t("status.held"),
    redeemed: t("status.redeemed"),
    expired: t("status.expired"),
    void: t("status.void"),
    returned: t("status.returned"),
    cancelled: t("status.cancelled"),
    lapsed: t("status.lapsed"),
    frozen: t("status.frozen"),
    lost: t("status.lost"),
    in_review: t("status.in_review"),
    replaced: t("status.replaced"),
  }[status];
}

/** A code in groups of four, as people read it out. */
const inGroups = (code) => code.replace(/[^0-9A-Za-z]/g, "").match(/.{1,4}/g).join(" ");

/** Until when a voucher holds: as the service says, or from its terms. */
function untilOf(claim) {
  const said = Date.parse(claim.valid_until ?? claim.expires_at ?? "");
  if (!Number.isNaN(said)) return said;
  const seconds = claim.terms?.voucher?.valid_for_s;
  return seconds ? Date.parse(claim.claimed_at) + 1_000 * seconds : null;
}

/** Whether tills take the changing QR code alone: as the voucher says, and before it was looked at as its drop said. */
const isQrAlone = (claim) => claim.qr_required ?? claim.terms?.voucher?.qr_required ?? false;

class VoucherItem {
  /** `spent()` is called when the voucher turns out to be good no more. */
  constructor(claim, spent) {
    this.claim = claim;
    this.spent = spent;
    this.chip = el("span", { class: "chip" });
    this.valid = el("p", { class: "when" });
    const more = el("div", { class: "foot" }, this.chip, this.valid);
    const facts = { ...claim.terms, name: claim.terms?.name ?? claim.drop, limit_per_person: 1 };
    this.image = el("img", { class: "qr", alt: t("vouchers.qr") });
    this.ring = el("div", { class: "ring", "aria-hidden": "true" }, el("i", {}));
    this.paper = el("div", { class: "paper", hidden: true }, this.image, this.ring);
    this.hint = el("p", { class: "fine", role: "status" });
    this.code = el("p", { class: "code" });
    this.only = el("p", { class: "only", text: t("vouchers.qr_only") });
    this.panel = el(
      "div",
      { class: "qr-panel", hidden: true, id: `qr-${claim.claim_id}` },
      this.paper,
      this.hint,
    );
    this.button = el("button", {
      class: "show",
      type: "button",
      "aria-expanded": "false",
      "aria-controls": `qr-${claim.claim_id}`,
      onclick: () => this.toggle(),
    });
    const number = el("p", { class: "fine", text: t("vouchers.number", { id: claim.claim_id }) });
    this.giveBack = giveBack(spent);
    const hand = el("div", { class: "hand" }, this.code, this.only, this.button, this.panel, this.giveBack.node, number);
    const parts = [voucherCard(facts, "h2", more), hand];
    this.node = el("li", { class: "mine" }, parts);
    this.update(claim);
  }

  update(claim) {
    this.claim = { ...this.claim, ...claim };
    const until = untilOf(this.claim);
    const over = until !== null && until < clock.now() && this.claim.status === "issued";
    const status = over ? "expired" : this.claim.status;
    set(this.chip, "data-phase", status);
    say(this.chip, statusWord(status) ?? status);
    this.heldUntil = status === "held" ? Date.parse(this.claim.hold_expires_at) : NaN;
    const when = until === null || status === "confirmed" ? "" : t("vouchers.until", { when: instant(until, this.zone) });
    if (!this.heldUntil) say(this.valid, when);
    show(this.giveBack.node, Boolean(this.heldUntil) && Boolean(ticketFor(this.claim.drop)));
    this.giveBack.of(this.claim);
    this.#countDown();
    const usable = status === "issued" || status === "confirmed";
    const [code, alone] = [this.claim.voucher ?? "", isQrAlone(this.claim)];
    show(this.button, usable && Boolean(code));
    // A code that no till takes is not there to be shown; whoever is asked for a number has that of the claim.
    show(this.code, Boolean(code) && !alone);
    say(this.code, code && !alone ? inGroups(code) : "");
    show(this.only, usable && Boolean(code) && alone);
    this.#label();
    if (!usable && this.open) this.toggle();
    set(this.node, "data-used", usable || this.heldUntil ? null : "");
  }

  get zone() {
    return this.claim.terms?.zone;
  }

  /** Until when a held unit is to be paid, and how long that is. */
  #countDown() {
    if (!this.heldUntil) return;
    const ms = this.heldUntil - clock.now();
    const { days, hours, minutes, seconds } = remaining(ms);
    const when = deadline(this.heldUntil, clock.now(), this.zone);
    const left = `${hours === "00" ? "" : `${hours}:`}${minutes}:${seconds}`;
    if (ms <= 0) say(this.valid, t("held.over"));
    else say(this.valid, days ? t("vouchers.pay_by", { when }) : t("vouchers.pay_in", { when, left }));
  }

  #label() {
    const words = isQrAlone(this.claim) ? t("vouchers.show_qr") : t("vouchers.show");
    say(this.button, this.open ? t("vouchers.hide") : words);
  }

  get open() {
    return !this.panel.hidden;
  }

  toggle() {
    const open = !this.open;
    show(this.panel, open);
    set(this.button, "aria-expanded", String(open));
    this.#label();
    this.ended?.abort();
    if (!open) return;
    this.ended = new AbortController();
    this.#keepFresh(this.ended.signal);
  }

  /** Fetches the changing code again and again, as long as it is shown and somebody looks. */
  async #keepFresh(signal) {
    const path = `/v1/vouchers/${encodeURIComponent(this.claim.voucher)}/qr`;
    while (!signal.aborted) {
      let ms = AGAIN_MS;
      const ticket = ticketFor(this.claim.drop);
      if (!ticket) say(this.hint, t("vouchers.sign_in"));
      else if (document.visibilityState === "visible") {
        const answer = await call("GET", path, { ticket, device: device() });
        if (signal.aborted) return;
        ms = this.#shown(answer);
      }
      await wait(ms, signal);
    }
  }

  /** Shows an answer; when to ask again. */
  #shown(answer) {
    show(this.paper, answer.status === 200);
    if (answer.status !== 200) {
      this.until = null;
      if (answer.code === "voucher_not_live") this.spent();
      const words = answer.status === 0 ? t("vouchers.offline") : t("vouchers.no_qr");
      say(this.hint, words);
      return Math.max(AGAIN_MS, answer.retryMs);
    }
    const { svg, expires_at, refresh_after_ms } = answer.data;
    this.image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
    say(this.hint, t("vouchers.changes"));
    this.until = Date.parse(expires_at);
    this.since = clock.now();
    return Math.max(1_000, refresh_after_ms);
  }

  tick() {
    this.#countDown();
    this.giveBack.of(this.claim);
    if (!this.open) return;
    const left = this.until ? (this.until - clock.now()) / (this.until - this.since) : 0;
    this.ring.firstChild.style.setProperty("inline-size", `${Math.round(100 * Math.min(1, Math.max(0, left)))}%`);
  }

  end() {
    this.ended?.abort();
  }
}

export class VouchersView {
  constructor() {
    this.title = t("vouchers.title");
    this.items = new Map();
    this.list = el("ul", { class: "wallet" });
    this.empty = el("div", { class: "empty" }, icon("ticket"), el("p", { text: t("vouchers.empty") }));
    const back = el("a", { class: "back", href: "/" }, icon("back"), t("nav.all"));
    this.node = el("main", { class: "vouchers", id: "main" }, back, el("h1", { text: t("vouchers.title") }), this.empty, this.list);
    this.looks = new AbortController();
    this.#build();
    this.#look();
    const signal = this.looks.signal;
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#look(), { signal });
  }

  #build() {
    const all = claims();
    show(this.empty, all.length === 0);
    for (const claim of all) {
      const known = this.items.get(claim.claim_id);
      if (known) known.update(claim);
      else {
        const item = new VoucherItem(claim, () => this.#look());
        this.items.set(claim.claim_id, item);
        this.list.append(item.node);
      }
    }
  }

  /** Asks what has become of each, as far as there is a ticket to ask with. */
  async #look() {
    if (!clock.known || clock.stale) await clock.sync();
    this.lookAt = clock.now() + LOOK_AGAIN_MS;
    const stays = holder();
    const gone = () => this.looks.signal.aborted || !stays();
    const items = new Set(claims().filter((claim) => !claim.voucher).map((claim) => claim.drop));
    for (const drop of items) {
      const ticket = ticketFor(drop);
      if (!ticket) continue;
      const answer = await call("GET", `/v1/drops/${encodeURIComponent(drop)}/claims/mine`, { ticket, device: device() });
      if (gone()) return;
      const { terms } = claims().find((claim) => claim.drop === drop) ?? {};
      if (answer.status === 200) putClaims(answer.data.claims, terms);
    }
    for (const claim of claims()) {
      const ticket = ticketFor(claim.drop);
      if (!ticket || !claim.voucher) continue;
      const answer = await call("GET", `/v1/vouchers/${encodeURIComponent(claim.voucher)}`, { ticket, device: device() });
      if (gone()) return;
      if (answer.status === 200) putClaims([{ ...claim, qr_required: false, ...answer.data }], claim.terms);
    }
    this.#build();
  }

  tick() {
    for (const item of this.items.values()) item.tick();
    const held = [...this.items.values()].some((item) => isHeld(item.claim));
    if (held && clock.now() >= (this.lookAt ?? 0) && document.visibilityState === "visible") this.#look();
  }

  end() {
    this.looks.abort();
    for (const item of this.items.values()) item.end();
  }
}
