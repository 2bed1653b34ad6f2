// The way to a ticket: a challenge, its solution by the worker, and the desk; or the demo's desk, which asks for nothing.

import { between, call } from "./api.js";
import { clock } from "./clock.js";
import { device, dropIdentity, hadTicket, holder, identity, person, putTicket, ticketFor } from "./session.js";
import { settings } from "./settings.js";

/** What may pass: the desk, or the way to it, was busy or away. */
const MAY_PASS = ["overloaded", "unavailable", "rate_limited", "not_open", "outcome_unknown", ""];
/** What a fresh challenge may mend. */
const MENDED_BY_ANOTHER = ["challenge_failed"];

function solve(challenge) {
  return new Promise((resolve) => {
    const worker = new Worker(settings.work);
    const end = (found) => {
      worker.terminate();
      resolve(found);
    };
    worker.onmessage = ({ data }) => end(data);
    worker.onerror = () => end({ number: -1, took: 0 });
    worker.postMessage(challenge);
  });
}

async function askDesk(drop) {
  if (settings.demo && person()) {
    const number = Number(person().split("-")[1]);
    return call("POST", "/demo/tickets", { body: { drop, person: number } });
  }
  const path = `/v1/drops/${encodeURIComponent(drop)}`;
  const given = await call("POST", `${path}/challenges`);
  if (given.status !== 201) return given;
  const { number, took } = await solve(given.data);
  const { algorithm, challenge, salt, signature } = given.data;
  const solution = btoa(JSON.stringify({ algorithm, challenge, number, salt, signature, took }));
  return call("POST", `${path}/tickets`, { body: { identity: identity(), solution, device: device() } });
}

/**
 * Looks after a drop's ticket. `state` is what the page shows of it: "none" (nobody is signed in, or not any more: `expired`),
 * "working", "waiting" (with `code` and `until`), "ready", or "refused" (with `code` and `requestId`).
 */
export class TicketKeeper {
  constructor(drop, changed) {
    this.drop = drop;
    this.changed = changed;
    this.busy = null;
    this.failures = 0;
    this.state = ticketFor(drop) ? { kind: "ready" } : { kind: "none", expired: hadTicket(drop) };
  }

  #set(state) {
    this.state = state;
    this.changed();
  }

  /** Whether a ticket could be asked for here. */
  get canAsk() {
    return Boolean(identity()) || (settings.demo && Boolean(person()));
  }

  /** Sees to it that there is a ticket, if that can be; gives whether there is. */
  async ensure() {
    if (ticketFor(this.drop)) {
      if (this.state.kind !== "ready") this.#set({ kind: "ready" });
      return true;
    }
    if (!this.canAsk) {
      if (this.state.kind !== "none" && this.state.kind !== "refused") {
        this.#set({ kind: "none", expired: hadTicket(this.drop) });
      }
      return false;
    }
    if (this.state.kind === "refused") return false;
    if (this.state.kind === "waiting" && clock.now() < this.state.until) return false;
    this.busy ??= this.#get().finally(() => {
      this.busy = null;
    });
    return this.busy;
  }

  /** Asks anew, whatever the last answer was. */
  again() {
    this.state = { kind: "none" };
    this.failures = 0;
    return this.ensure();
  }

  async #get() {
    this.#set({ kind: "working" });
    const stays = holder();
    const answer = await askDesk(this.drop);
    if (!stays()) return false;
    if (answer.status === 201 && putTicket(answer.data.ticket, answer.data.person)) {
      this.failures = 0;
      this.#set({ kind: "ready" });
      return true;
    }
    this.failures += 1;
    const passing = MAY_PASS.includes(answer.code) || (MENDED_BY_ANOTHER.includes(answer.code) && this.failures < 2);
    if (passing) {
      // Everybody's desk opens at one moment: nobody has to be first at it.
      const least = Math.max(answer.retryMs, Math.min(500 * 2 ** this.failures, 8_000));
      const spread = answer.code === "not_open" ? 5_000 : least / 2;
      this.#set({ kind: "waiting", code: answer.code || "offline", until: clock.now() + least + between(0, spread) });
      return false;
    }
    if (answer.code.startsWith("identity_")) dropIdentity();
    this.#set({ kind: "refused", code: answer.code, requestId: answer.requestId });
    return false;
  }
}
