// The view of one drop: countdown, button, and what becomes of a tap.

import { Claiming } from "./claim.js";
import { clock } from "./clock.js";
import { TicketKeeper } from "./desk.js";
import { el, icon, say, set, show } from "./dom.js";
import { factsOf, nameOf, phaseOf, whenOf } from "./facts.js";
import { countdown, giveBack, phaseChip, stockBar, voucherCard } from "./parts.js";
import { ticketFor } from "./session.js";
import { settings } from "./settings.js";
import { situation } from "./situation.js";
import { Watch } from "./watch.js";
import { t } from "./words.js";

/** At which distance from the release screen readers are told. */
const TOLD_AT_MS = [60_000, 10_000];
/** Refusals by how the drop stands, which may be another way a second later. */
const PASSING_STATES = ["sold_out", "paused", "closed"];

export class DropView {
  /** `go(path)` leads elsewhere on the page. */
  constructor(id, go) {
    this.id = id;
    this.go = go;
    this.facts = null;
    this.trouble = null;
    this.title = id;
    this.tickets = new TicketKeeper(id, () => this.render());
    this.claiming = new Claiming(id, this.tickets, () => this.#claimChanged());
    this.#build();
    this.claiming.remember();
    this.render();
    this.watch = new Watch(`/v1/drops/${encodeURIComponent(id)}`, (data) => data.poll_after_ms, (answer) => this.#seen(answer));
  }

  #build() {
    this.card = el("div", { class: "card-place" }, el("h1", { class: "out-of-sight", text: t("home.title") }));
    this.chip = phaseChip();
    this.when = el("p", { class: "when" });
    this.countdown = countdown();
    this.stock = stockBar();
    this.moment = el(
      "section",
      { class: "moment", "aria-label": t("moment.label") },
      el("div", { class: "line" }, this.chip.node, this.when),
      this.countdown.node,
      this.stock.node,
    );
    this.heading = el("h2", { tabindex: "-1" });
    this.text = el("p", {});
    this.fine = el("p", { class: "fine" });
    this.mark = el("div", { class: "mark", "aria-hidden": "true" }, icon("check"));
    this.left = countdown(true);
    const news = el("div", { role: "status" }, this.heading, this.text);
    this.outcome = el("section", { class: "outcome" }, this.mark, news, this.left.node, this.fine);
    this.told = el("p", { class: "out-of-sight", role: "status" });
    this.label = el("span", {});
    this.button = el("button", { class: "main", type: "button", onclick: () => this.#act() }, this.label);
    this.more = el("button", { class: "quiet", type: "button", text: t("button.another"), onclick: () => this.claiming.start() });
    this.stop = el("button", { class: "quiet", type: "button", text: t("button.stop"), onclick: () => this.claiming.stop() });
    this.giveBack = giveBack(() => this.claiming.look());
    this.actions = el("div", { class: "actions" }, this.button, this.more, this.stop, this.giveBack.node);
    const back = el("a", { class: "back", href: "/" }, icon("back"), t("nav.all"));
    const panel = el("div", { class: "panel" }, this.moment, this.outcome, this.told, this.actions);
    this.node = el("main", { class: "drop", id: "main" }, back, this.card, panel);
  }

  #seen(answer) {
    if (answer.status === 200) {
      this.#know(answer.data);
      // What was refused by how the drop stood may be tried again when it stands otherwise.
      const { kind, code, at } = this.claiming.state;
      const passing = kind === "refused" && PASSING_STATES.includes(code);
      if (passing && phaseOf(this.facts) === "open" && Date.parse(answer.data.server_time) > at) this.claiming.forget();
    } else {
      this.trouble = answer.code || "offline";
    }
    this.render();
    this.#prepare();
  }

  #know(data) {
    const first = !this.facts;
    const shape = JSON.stringify([data.name, data.voucher]);
    this.facts = factsOf(data);
    this.trouble = null;
    this.claiming.know(this.facts);
    this.title = nameOf(this.facts);
    if (shape !== this.shape) this.card.replaceChildren(voucherCard(this.facts));
    this.shape = shape;
    if (first) this.claiming.resume();
  }

  /** Gets the ticket before the release, and looks whether the claim was made on another day. */
  async #prepare() {
    if (!this.facts || this.claiming.running) return;
    if (phaseOf(this.facts) !== "closed") await this.tickets.ensure();
    // Before the release nobody can have one.
    if (this.tickets.state.kind === "ready" && !this.looked && phaseOf(this.facts) !== "scheduled") {
      this.looked = true;
      await this.claiming.look();
    }
  }

  #claimChanged() {
    const { kind, code } = this.claiming.state;
    if (kind === "refused" && PASSING_STATES.includes(code)) {
      // The service knows better than what was seen of the drop before.
      this.facts = { ...this.facts, state: code, stock_left: code === "sold_out" ? 0 : this.facts.stock_left };
    }
    this.render();
    if (kind === "done" && this.shown !== "done") {
      // Whoever does not see is led to the news; whoever does, sees it.
      this.heading.focus({ preventScroll: true });
    }
    this.shown = kind;
  }

  /** Called a few times a second. */
  tick() {
    if (clock.stale) clock.sync();
    const { kind, until } = this.tickets.state;
    const due = (kind === "waiting" && clock.now() >= until) || (kind === "ready" && !ticketFor(this.id));
    if (due) this.#prepare();
    this.claiming.tick();
    this.render();
  }

  render() {
    const { facts } = this;
    const now = situation({
      facts,
      trouble: this.trouble,
      tickets: this.tickets.state,
      claiming: this.claiming.state,
      demo: settings.demo,
    });
    set(this.node, "data-tone", now.tone);
    set(this.node, "data-claim", this.claiming.state.kind);
    say(this.heading, now.title);
    say(this.text, now.text);
    say(this.fine, now.fine ?? "");
    show(this.fine, Boolean(now.fine));
    show(this.mark, now.tone === "good" && !now.until);
    show(this.left.node, Boolean(now.until));
    if (now.until) this.left.update(now.until - clock.now());
    show(this.giveBack.node, Boolean(now.giveBack) && Boolean(ticketFor(this.id)));
    this.giveBack.of(now.giveBack);
    this.act = now.button?.act ?? null;
    show(this.button, Boolean(now.button));
    show(this.stop, Boolean(now.stop));
    show(this.more, Boolean(now.more));
    show(this.actions, Boolean(now.button) || Boolean(now.stop));
    if (now.button) {
      say(this.label, now.button.text);
      // Not `disabled`: whoever waits with a keyboard or a screen reader waits on the button.
      set(this.button, "aria-disabled", this.act ? null : "true");
      set(this.button, "data-busy", now.button.busy ? "" : null);
    }
    this.#renderMoment(facts, now.tone);
  }

  #renderMoment(facts, tone) {
    show(this.moment, Boolean(facts) && tone !== "good" && this.claiming.state.kind !== "done");
    if (!facts) return;
    const phase = phaseOf(facts);
    const left = facts.opens_at_ms - clock.now();
    this.chip.update(facts);
    say(this.when, whenOf(facts));
    show(this.countdown.node, phase === "scheduled");
    show(this.stock.node, phase !== "scheduled" && phase !== "closed");
    if (phase === "scheduled") {
      this.countdown.update(left);
      this.#tell(left);
    } else {
      const words = { left: facts.stock_left, total: facts.stock_total };
      this.stock.update(facts.stock_left, facts.stock_total, t("stock.of", words));
    }
  }

  #tell(left) {
    for (const at of TOLD_AT_MS) {
      if (left <= at && left > at - 2_000 && this.toldAt !== at) {
        this.toldAt = at;
        say(this.told, t("moment.told", { n: Math.round(at / 1_000) }));
      }
    }
  }

  #act() {
    switch (this.act) {
      case "claim":
        return this.claiming.start();
      case "again":
        this.claiming.forget();
        this.tickets.again();
        return this.render();
      case "vouchers":
        return this.go("/vouchers");
      case "elsewhere":
        return this.go(`/d/${encodeURIComponent(this.claiming.state.elsewhere)}`);
      case "sign_in":
        return this.go("sign_in", this.id);
      default:
        return undefined;
    }
  }

  end() {
    this.watch.end();
    this.claiming.end();
  }
}
