// The first view: what there is to claim.

import { clock } from "./clock.js";
import { el, icon, say, show } from "./dom.js";
import { factsOf, nameOf, phaseOf, remaining, whenOf } from "./facts.js";
import { phaseChip, voucherCard } from "./parts.js";
import { Watch } from "./watch.js";
import { instant, t } from "./words.js";

const DAY_MS = 86_400_000;

function dropCard(facts) {
  const chip = phaseChip();
  const when = el("p", { class: "when" });
  const card = voucherCard(facts, "h3", el("div", { class: "foot" }, chip.node, when));
  const node = el("a", { class: "card", href: `/d/${encodeURIComponent(facts.id)}` }, card, icon("go"));
  return {
    node,
    update(fresh) {
      chip.update(fresh);
      const phase = phaseOf(fresh);
      const left = fresh.opens_at_ms - clock.now();
      if (phase === "open") say(when, t("stock.left", { n: fresh.stock_left }));
      else if (phase === "scheduled" && left < DAY_MS) {
        const { hours, minutes, seconds } = remaining(left);
        const time = instant(fresh.opens_at_ms, fresh.zone, false);
        say(when, t("when.opens_in", { when: time, left: `${hours}:${minutes}:${seconds}` }));
      } else say(when, whenOf(fresh));
    },
  };
}

/** The list of campaigns. */
export class HomeView {
  constructor() {
    this.cards = new Map();
    this.shape = "";
    this.list = el("div", { class: "campaigns" });
    this.notice = el("p", { class: "notice", role: "status", text: t("loading.title") });
    this.node = el("main", { class: "home", id: "main" }, el("h1", { class: "out-of-sight", text: t("home.title") }), this.notice, this.list);
    const pace = (data) => {
      const drops = data.campaigns.flatMap((campaign) => campaign.drops);
      return drops.length ? Math.min(...drops.map((drop) => drop.poll_after_ms)) : 10_000;
    };
    this.watch = new Watch("/v1/campaigns", pace, (answer) => this.#seen(answer));
    this.title = t("home.title");
  }

  #seen(answer) {
    if (answer.status !== 200) {
      if (!this.drops) say(this.notice, t("loading.failed"));
      return;
    }
    const { campaigns } = answer.data;
    this.drops = campaigns.flatMap((campaign) => campaign.drops.map(factsOf));
    const shape = JSON.stringify(campaigns.map(({ id, name, drops }) => [id, name, drops.map((drop) => [drop.id, drop.name, drop.voucher])]));
    if (shape !== this.shape) this.#build(campaigns);
    this.shape = shape;
    say(this.notice, this.drops.length ? "" : t("home.empty"));
    show(this.notice, !this.drops.length);
    this.tick();
  }

  #build(campaigns) {
    this.cards.clear();
    const sections = campaigns.map((campaign) => {
      const cards = campaign.drops.map((drop) => {
        const card = dropCard(factsOf(drop));
        this.cards.set(drop.id, card);
        return el("li", {}, card.node);
      });
      const by = campaign.sponsor ? el("p", { class: "sponsor", text: t("home.sponsor", { name: campaign.sponsor }) }) : null;
      return el("section", {}, el("header", {}, el("h2", { text: campaign.name }), by), el("ul", { class: "cards" }, cards));
    });
    this.list.replaceChildren(...sections);
  }

  /** Called a few times a second. */
  tick() {
    for (const facts of this.drops ?? []) this.cards.get(facts.id)?.update(facts);
  }

  end() {
    this.watch.end();
  }
}
