// How a drop or a list stands, looked at as often as the service asks for, and not at all while nobody looks at the page.

import { between, call, wait } from "./api.js";
import { clock } from "./clock.js";

const POLL_MS = [1_000, 60_000];

export class Watch {
  /** Watches `path`; calls `seen(answer)` with every answer. `pace(data)` is when to look again, in milliseconds. */
  constructor(path, pace, seen) {
    this.path = path;
    this.pace = pace;
    this.seen = seen;
    this.ended = new AbortController();
    this.nudge = null;
    const look = () => this.look();
    const { signal } = this.ended;
    document.addEventListener("visibilitychange", look, { signal });
    window.addEventListener("online", look, { signal });
    window.addEventListener("pageshow", look, { signal });
    this.#run();
  }

  /** Looks at once. */
  look() {
    if (document.visibilityState === "visible") this.nudge?.abort();
  }

  /** Leaves the page. */
  end() {
    this.ended.abort();
    this.nudge?.abort();
  }

  async #run() {
    let failures = 0;
    while (!this.ended.signal.aborted) {
      let ms = POLL_MS[1];
      if (document.visibilityState === "visible") {
        const asked = await this.#once();
        failures = asked ? 0 : failures + 1;
        ms = between(1, 1.15) * Math.min(Math.max(asked || 2_000 * Math.min(failures, 8), POLL_MS[0]), POLL_MS[1]);
      }
      this.nudge = new AbortController();
      await wait(ms, this.nudge.signal);
    }
  }

  /** One look; when the next one is asked for, or 0 if this one failed. Whatever is wrong with it, there is a next one. */
  async #once() {
    try {
      if (!clock.known || clock.stale) await clock.sync();
      const answer = await call("GET", this.path);
      if (this.ended.signal.aborted) return 0;
      this.seen(answer);
      return answer.status === 200 ? this.pace(answer.data) : 0;
    } catch (fault) {
      console.error(fault);
      return 0;
    }
  }
}
