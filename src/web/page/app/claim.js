// One wish for one voucher, from the tap to an answer that is certain: over lost answers, lost networks and reloads, always with the
// same key, so that however often it is sent it is one claim.

import { between, call, wait } from "./api.js";
import { clock } from "./clock.js";
import { claims, device, dropTicket, holder, isHeld, isTheirs, putClaims, ticketFor } from "./session.js";
import { keep, recall } from "./store.js";

/** A wish that is older is not sent again by itself: one who comes back the next day is to tap. */
const FRESH_MS = 15 * 60_000;
/** The answer is not known yet, and the claim may have been made. */
const UNSURE = ["outcome_unknown", "request_timeout", ""];
/** Nothing was claimed; trying again helps. */
const TRY_AGAIN = ["overloaded", "unavailable", "rate_limited", "not_open"];
/** Whoever asks too often, or is not let in, hears nothing of what became of the tries before. */
const SAYS_NOTHING = [401, 403, 429];

/** Whether a refusal decides the wish: no try of it has become a claim. */
const decides = ({ status }) => status < 500 && !SAYS_NOTHING.includes(status);

/** How often it is looked whether a held unit was paid for, and how often when its time is over. */
const HELD_LOOK_MS = [15_000, 3_000];

const attempts = () => recall("attempts") ?? {};

function putAttempt(drop, attempt) {
  const { [drop]: _old, ...rest } = attempts();
  keep("attempts", attempt ? { ...rest, [drop]: attempt } : rest);
}

/** A name that no other wish has. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * `state` is what the page shows: "idle", "sending", "waiting" (`code`, `until`, `tries`), "asking" (the outcome is not known),
 * "done" (`claims`, `again`), or "refused" (`code`, `claims` that there were before, `elsewhere`, `requestId`).
 */
export class Claiming {
  constructor(drop, tickets, changed) {
    this.drop = drop;
    this.path = `/v1/drops/${encodeURIComponent(drop)}/claims`;
    this.tickets = tickets;
    this.changed = changed;
    this.state = { kind: "idle" };
    this.facts = null;
    this.running = false;
    this.attempt = null;
    this.ended = new AbortController();
    this.tried = 0;
    this.nudge = null;
    this.lookAt = 0;
    // Who comes back from paying wants to see it.
    const soon = () => (this.lookAt = 0);
    document.addEventListener("visibilitychange", soon, { signal: this.ended.signal });
    // With the network back there is no reason to wait.
    window.addEventListener("online", () => this.nudge?.abort(), { signal: this.ended.signal });
  }

  #set(state) {
    this.state = state;
    this.changed();
  }

  /** What the service says of the drop: its limit, its release, its voucher. */
  know(facts) {
    // Whoever waits for a release that was moved is not to sleep through it.
    if (this.facts && this.facts.opens_at_ms !== facts.opens_at_ms) this.nudge?.abort();
    this.facts = facts;
  }

  /** A tap. A second one while the first is under way is the same wish. */
  start() {
    if (this.running) return;
    const { stopped: _not, ...attempt } = attempts()[this.drop] ?? this.#wish();
    putAttempt(this.drop, attempt);
    this.#run(attempt);
  }

  /** A new wish, which knows what there was `before` it: the clocks of phone and service say it only to about a second. */
  #wish() {
    const before = claims().filter(({ drop }) => drop === this.drop);
    return { key: newKey(), since: clock.now(), unsure: false, before: before.map((claim) => claim.claim_id) };
  }

  /** Whether a claim that went back again may be what became of a wish. */
  #isOf(attempt, claim) {
    const known = attempt.before?.includes(claim.claim_id);
    return !known && Date.parse(claim.claimed_at) >= attempt.since - 1_000;
  }

  /** Goes on with a wish that a reload, or another tab, interrupted. */
  resume() {
    const attempt = attempts()[this.drop];
    if (!attempt || attempt.stopped || this.running) return;
    const old = Math.abs(clock.now() - attempt.since) > FRESH_MS;
    const unsure = { ...attempt, unsure: true, stopped: old };
    putAttempt(this.drop, unsure);
    if (old) this.look();
    else this.#run(unsure);
  }

  /** Stops trying. The wish is given up if it is certain that nothing came of it; otherwise its key is there for the next tap. */
  stop() {
    if (!this.running || !this.state.until) return;
    putAttempt(this.drop, this.attempt.unsure ? { ...this.attempt, stopped: true } : null);
    this.stopped = true;
    this.nudge?.abort();
  }

  /** Leaves the page. */
  end() {
    this.ended.abort();
    this.nudge?.abort();
  }

  /** Forgets a refusal that may not hold any more. */
  forget() {
    if (this.state.kind === "refused") this.#set({ kind: "idle" });
  }

  /** Shows what this phone knows to have been claimed, before anybody is asked. */
  remember() {
    const known = claims().filter((claim) => claim.drop === this.drop && isTheirs(claim));
    if (known.length) this.#set({ kind: "done", claims: known, again: true });
  }

  /** Looks whether there is a claim already. */
  async look() {
    if (this.running || !ticketFor(this.drop)) return;
    const stays = holder();
    const mine = await this.#mine();
    if (!stays() || this.running || !mine.claims) return;
    // Who has just claimed it here is not told a moment later that it was there already.
    const again = this.state.kind === "done" ? this.state.again : true;
    // Where a person may have one alone, it is what became of the wish.
    if (this.facts?.limit_per_person === 1 && mine.claims.some(isTheirs)) putAttempt(this.drop, null);
    if (this.state.kind === "done" || mine.claims.some(isTheirs)) this.#done(mine.claims, again);
    else putClaims(mine.claims, this.facts);
  }

  /** Called a few times a second: looks now and then what becomes of a unit that is held. */
  tick() {
    const held = this.state.kind === "done" ? this.state.claims.filter(isHeld) : [];
    if (!held.length || clock.now() < this.lookAt || document.visibilityState !== "visible") return;
    const over = held.some((claim) => Date.parse(claim.hold_expires_at) < clock.now());
    this.#lookLater(HELD_LOOK_MS[over ? 1 : 0]);
    this.look();
  }

  #lookLater(ms) {
    this.lookAt = clock.now() + between(ms, 1.3 * ms);
  }

  async #run(attempt) {
    this.running = true;
    this.attempt = attempt;
    this.stopped = false;
    this.tried = 0;
    this.renewed = 0;
    try {
      while (!this.ended.signal.aborted && !this.stopped) {
        if (await this.#step(attempt)) return;
      }
      if (this.stopped) this.#set({ kind: "idle" });
    } finally {
      this.running = false;
    }
  }

  /** One try; whether that was the last. */
  async #step(attempt) {
    if (!(await this.#hasTicket())) return true;
    const stays = holder();
    if (attempt.unsure && this.facts?.limit_per_person === 1) {
      this.#set({ kind: "asking" });
      const mine = await this.#mine();
      if (!stays()) return true;
      // A unit that went back before this wish was made says nothing of it.
      const of = mine.claims?.some((claim) => isTheirs(claim) || this.#isOf(attempt, claim));
      if (of) return this.#settled(mine.claims, true);
      if (!mine.claims && mine.code !== "no_claim") return this.#notNow(mine, attempt);
    } else {
      this.#set({ kind: attempt.unsure ? "asking" : "sending" });
    }
    const answer = await call("POST", this.path, { ...this.#credentials(), key: attempt.key });
    if (!stays()) return true;
    if (answer.status === 201 || answer.status === 200) {
      this.#lookLater(HELD_LOOK_MS[0]);
      return this.#settled([answer.data], answer.data.replayed);
    }
    if (UNSURE.includes(answer.code)) attempt.unsure = true;
    else if (decides(answer)) attempt.unsure = false;
    putAttempt(this.drop, attempt);
    return this.#notNow(answer, attempt);
  }

  /** What follows from an answer that is no claim; whether that was the last try. */
  async #notNow(answer, attempt) {
    if (UNSURE.includes(answer.code) || TRY_AGAIN.includes(answer.code)) return this.#later(answer, attempt);
    if (answer.code.startsWith("ticket_")) {
      dropTicket(this.drop);
      if (this.tickets.canAsk && this.renewed < 2) {
        this.renewed += 1;
        await this.tickets.again();
        return false;
      }
    }
    const stays = holder();
    const before = answer.code === "limit_reached" ? (await this.#mine()).claims : null;
    if (!stays()) return true;
    if (!attempt.unsure) putAttempt(this.drop, null);
    return this.#refused(answer, before);
  }

  async #hasTicket() {
    if (ticketFor(this.drop) || (await this.tickets.ensure())) return true;
    this.#set({ kind: "idle" });
    return false;
  }

  #credentials() {
    return { ticket: ticketFor(this.drop), device: device() };
  }

  async #mine() {
    const answer = await call("GET", `${this.path}/mine`, this.#credentials());
    return { ...answer, claims: answer.status === 200 ? answer.data.claims : null };
  }

  /** Waits for the next try: as long as the service asks for, longer from time to time, and never as long as others do. */
  async #later(answer, attempt) {
    this.tried += 1;
    const least = answer.retryMs || 1_000;
    const longer = Math.min(least * 1.5 ** Math.min(this.tried - 1, 4), 10_000);
    let ms = between(least, Math.max(longer, least + 500));
    if (answer.code === "not_open") {
      // In whole seconds the service says by when it opens, also where it was put off and the page has not heard of it yet.
      const ahead = Math.max(0, this.facts.opens_at_ms - clock.now(), answer.retryMs - 1_000);
      ms = ahead + between(30, 250) * Math.min(this.tried, 4);
    }
    const code = answer.status === 0 ? "offline" : answer.code;
    const kind = attempt.unsure ? "asking" : "waiting";
    this.#set({ kind, code, until: clock.now() + ms, tries: this.tried });
    this.nudge = new AbortController();
    await wait(ms, this.nudge.signal);
    return false;
  }

  /** What became of the wish is certain. */
  #settled(fresh, again) {
    putAttempt(this.drop, null);
    return this.#done(fresh, again);
  }

  #done(fresh, again) {
    putClaims(fresh, this.facts);
    const held = claims().filter((claim) => claim.drop === this.drop && isTheirs(claim));
    if (!held.length) {
      const { status } = fresh.reduce((last, claim) => (claim.claimed_at > last.claimed_at ? claim : last));
      return this.#refused({ code: ["lapsed", "cancelled"].includes(status) ? status : "given_back" }, fresh);
    }
    this.#set({ kind: "done", claims: held, again });
    return true;
  }

  #refused(answer, before) {
    if (before) putClaims(before, this.facts);
    const { requestId } = answer;
    const elsewhere = answer.data?.claim?.drop;
    const code = elsewhere ? "once" : answer.code || `http_${answer.status}`;
    this.#set({ kind: "refused", code, requestId, claims: before, elsewhere, at: clock.now() });
    return true;
  }
}
