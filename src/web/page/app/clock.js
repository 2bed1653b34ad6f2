// The service's clock, as well as this phone can tell: several looks, of which the quickest counts. The phone's own clock may be
// wrong by any amount, and may be set while the page is open.

import { call } from "./api.js";

const LOOKS = 4;
const GOOD_MS = 60;
/** By how much the phone's two clocks may drift apart before it was asleep, or was set. */
const DRIFT_MS = 750;
/** How long it is left in peace when it does not answer. */
const PAUSE_MS = 5_000;

class ServerClock {
  constructor() {
    this.offset = null;
    this.error = Infinity;
    this.drift = Date.now() - performance.now();
    this.failedAt = -Infinity;
    this.syncing = null;
  }

  /** Milliseconds since 1970 on the service's clock. */
  now() {
    return this.offset === null ? Date.now() : performance.now() + this.offset;
  }

  /** Whether the service was asked at all. */
  get known() {
    return this.offset !== null;
  }

  /** Looks a few times; the look with the shortest way there and back is the best. */
  sync() {
    this.syncing ??= this.#look().finally(() => {
      this.syncing = null;
    });
    return this.syncing;
  }

  async #look() {
    let best = null;
    for (let look = 0; look < LOOKS; look += 1) {
      const sent = performance.now();
      const answer = await call("GET", "/v1/time", { fresh: true });
      const came = performance.now();
      const at = Date.parse(answer.data?.server_time);
      if (answer.status !== 200 || Number.isNaN(at)) continue;
      const seen = { offset: at - (sent + came) / 2, error: (came - sent) / 2 };
      if (!best || seen.error < best.error) best = seen;
      if (look > 0 && best.error < GOOD_MS / 2) break;
    }
    if (!best) {
      this.failedAt = performance.now();
    } else {
      this.offset = best.offset;
      this.error = best.error;
      this.drift = Date.now() - performance.now();
    }
  }

  /** Whether the phone slept, or its clock was set, since the last look: then it is time for another one. */
  get stale() {
    const apart = Math.abs(Date.now() - performance.now() - this.drift) > DRIFT_MS;
    return apart && Math.abs(performance.now() - this.failedAt) > PAUSE_MS;
  }
}

export const clock = new ServerClock();
