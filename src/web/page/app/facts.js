// What the service says of a drop, as the page reads it.

import { clock } from "./clock.js";
import { instant, list, money, span, t } from "./words.js";

/** A drop's public state with its instants as numbers. */
export function factsOf(drop) {
  return {
    ...drop,
    opens_at_ms: Date.parse(drop.opens_at),
    closes_at_ms: Date.parse(drop.closes_at),
    zone: drop.time_zone ?? "",
  };
}

/** How it stands by the service's clock, which goes on between two looks. */
export function phaseOf(facts, now = clock.now()) {
  if (now >= facts.closes_at_ms) return "closed";
  if (facts.state === "scheduled" && now >= facts.opens_at_ms) return "open";
  return facts.state;
}

/** What people call it. */
export const nameOf = (facts) => facts.name || facts.id;

/** The lines about a voucher: from which order on, how long, where. */
export function termsOf(facts) {
  const { voucher } = facts;
  if (!voucher) {
    const hold = facts.item ? [t("terms.hold", { span: span(facts.item.hold_for_s) })] : [];
    return [t("terms.item", { n: facts.limit_per_person }), ...hold];
  }
  const lines = [
    t("terms.threshold", { amount: money(voucher.threshold, voucher.currency) }),
    t("terms.valid", { span: span(voucher.valid_for_s) }),
  ];
  const { category = [], region = [] } = voucher.merchants ?? {};
  if (category.length) lines.push(t("terms.category", { names: list(category) }));
  if (region.length) lines.push(t("terms.region", { names: list(region) }));
  if (!category.length && !region.length) lines.push(t("terms.anywhere"));
  if (facts.limit_per_person > 1) lines.push(t("terms.limit", { n: facts.limit_per_person }));
  return lines;
}

/** When it opens or closes, on the campaign's clocks, and whose clocks these are. */
export function whenOf(facts) {
  const phase = phaseOf(facts);
  if (phase === "scheduled") return t("when.opens", { when: instant(facts.opens_at_ms, facts.zone) });
  if (phase === "closed") return t("when.closed", { when: instant(facts.closes_at_ms, facts.zone) });
  return t("when.closes", { when: instant(facts.closes_at_ms, facts.zone) });
}

/** The word for how a drop stands. */
export function phaseWord(phase) {
  return {
    scheduled: t("phase.scheduled"),
    open: t("phase.open"),
    paused: t("phase.paused"),
    sold_out: t("phase.sold_out"),
    closed: t("phase.closed"),
  }[phase];
}

/** Days, hours, minutes and seconds, two digits each; whole seconds are rounded up, so that 0 is the instant itself. */
export function remaining(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  const two = (number) => String(number).padStart(2, "0");
  return {
    days: Math.floor(seconds / 86_400),
    hours: two(Math.floor(seconds / 3_600) % 24),
    minutes: two(Math.floor(seconds / 60) % 60),
    seconds: two(seconds % 60),
  };
}
