// Answers after which the page tries again by itself.

import assert from "node:assert/strict";

import { button, campaign, claim, held, identity, shot, signedIn, text, ticket, tone, until, visit, world } from "../world.mjs";

const claims = (drop) => `**/v1/drops/${drop}/claims`;
const problem = (status, code, seconds) => ({
  status,
  contentType: "application/problem+json",
  headers: { "retry-after": String(seconds) },
  body: JSON.stringify({ code, status, request_id: "0123456789abcdef" }),
});

/** Answers the first claims like this, lets the others through, and gives the keys that came. */
async function refuseFirst(page, drop, ...answers) {
  const keys = [];
  await page.route(claims(drop), (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    const answer = answers[keys.length - 1];
    return answer ? route.fulfill(answer) : route.continue();
  });
  return keys;
}

export async function an_overload_is_waited_for_with_the_same_key() {
  const drop = "wait-overloaded";
  await campaign("c-overloaded", [{ drop, limit: 2 }]);
  await visit({}, async (page) => {
    // Each stands on the page for longer than a busy machine takes to look and to take a picture.
    const keys = await refuseFirst(page, drop, problem(503, "overloaded", 4), problem(503, "unavailable", 4));
    await page.goto(signedIn(drop, "overloaded"));
    await tone(page, "go");
    await button(page).tap();
    await text(page, "当前人数太多");
    await shot(page, "overloaded-zh");
    await text(page, "服务暂时不可用");
    await tone(page, "good");
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
    assert.equal((await held(drop, "overloaded")).length, 1);
  });
}

export async function somebody_stops_trying() {
  const drop = "wait-stop";
  await campaign("c-stop", [{ drop }]);
  await visit({ colorScheme: "dark", locale: "en-US" }, async (page) => {
    const keys = await refuseFirst(page, drop, problem(503, "overloaded", 30));
    await page.goto(signedIn(drop, "stop"));
    await tone(page, "go");
    await button(page).tap();
    await text(page, "Very many people at once");
    await shot(page, "overloaded-en-dark");
    await page.getByRole("button", { name: "Stop trying" }).tap();
    await tone(page, "go");
    assert.equal(keys.length, 1);
  });
}

export async function a_moment_too_early_is_tried_again_on_time() {
  const drop = "wait-early";
  await campaign("c-early", [{ drop, opens: 6 }]);
  await visit({}, async (page) => {
    // The page's clock runs ahead, so that it taps before the service's release: the service says no, and the page waits.
    await page.route("**/v1/time", async (route) => {
      const answer = await route.fetch();
      const { server_time: time } = await answer.json();
      return route.fulfill({ json: { server_time: new Date(Date.parse(time) + 30_000).toISOString() } });
    });
    await page.goto(signedIn(drop, "early"));
    await tone(page, "go");
    const answers = [];
    page.on("response", (answer) => answer.request().method() === "POST" && answers.push(answer.status()));
    await button(page).tap();
    await tone(page, "good");
    assert.ok(answers.length >= 1 && answers.at(-1) === 201, `${answers}`);
    assert.ok(answers.slice(0, -1).every((status) => status === 425), `${answers}`);
  });
}

export async function too_early_says_so() {
  const drop = "wait-too-early";
  await campaign("c-too-early", [{ drop }]);
  await visit({}, async (page) => {
    let state;
    await page.route(`**/v1/drops/${drop}`, async (route) => {
      state ??= await (await route.fetch()).json();
      // By this state the release is a few seconds ahead, as it would be for a clock that is.
      const opens_at = new Date(Date.parse(state.server_time) + 8_000).toISOString();
      return route.fulfill({ json: { ...state, state: "open", opens_at } });
    });
    await refuseFirst(page, drop, problem(425, "not_open", 1));
    await page.goto(signedIn(drop, "too-early"));
    await tone(page, "go");
    await button(page).tap();
    await text(page, "早了一点点");
    await shot(page, "too-early-zh");
    await tone(page, "good");
  });
}

export async function a_release_that_was_put_off_is_waited_for() {
  const drop = "wait-put-off";
  await campaign("c-put-off", [{ drop }]);
  await visit({}, async (page) => {
    // The page has not heard of it: by all that it knows the drop is open.
    const keys = await refuseFirst(page, drop, problem(425, "not_open", 4));
    const sent = [];
    page.on("request", (request) => request.method() === "POST" && sent.push(performance.now()));
    await page.goto(signedIn(drop, "put-off"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    assert.equal(keys.length, 2);
    assert.ok(sent[1] - sent[0] >= 3_000, `it is asked again after ${sent[1] - sent[0]} ms, and not as late as the service says`);
  });
}

export async function who_asks_too_often_waits() {
  const drop = "wait-limit";
  await campaign("c-limit", [{ drop }]);
  // The limit gives a place back now and then, and on a slow machine the page may be who gets it: then it is another one's turn.
  for (let turn = 1; !(await is_told_to_wait(drop, `too-often-${turn}`)); turn += 1) {
    assert.ok(turn < 10, "the page got a place each time");
  }
}

/** Uses a person's limit up and claims; whether the page said that it waits. The claim comes through in the end. */
async function is_told_to_wait(drop, person) {
  let waited = false;
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, person));
    await tone(page, "go");
    // Somebody else has the same ticket and asks without a pause: the service's own limit of the person is used up.
    const headers = { authorization: `Bearer ${ticket(drop, person)}` };
    let asking = true;
    let usedUp = false;
    const other = async () => {
      while (asking) {
        const answer = await fetch(`${world.base}/v1/drops/${drop}/claims/mine`, { headers });
        await answer.text();
        usedUp ||= answer.status === 429;
      }
    };
    const others = [other(), other(), other(), other()];
    try {
      await until("the limit is used up", async () => usedUp);
      await button(page).tap();
      const wait = page.getByText("请慢一点").first();
      await wait.or(page.locator('main[data-tone="good"]')).first().waitFor();
      waited = await wait.isVisible();
      if (waited) await shot(page, "slow-down-zh");
    } finally {
      asking = false;
      await Promise.all(others);
    }
    await tone(page, "good");
  });
  return waited;
}

export async function a_restock_brings_the_button_back() {
  const drop = "wait-restock";
  await campaign("c-restock", [{ drop, stock: 1 }]);
  assert.equal((await claim(drop, "first")).status, 201);
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, "second"));
    await text(page, "已经领完");
    await shot(page, "sold-out-zh");
    await campaign("c-restock", [{ drop, stock: 2 }]);
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
  });
}

export async function the_seconds_until_the_next_try_are_shown_and_not_spoken() {
  for (const [drop, opens] of [
    ["wait-spoken", -60],
    ["wait-spoken-later", 600],
  ]) {
    await campaign(`c-${drop}`, [{ drop, opens }]);
    await visit({ locale: "en-US" }, async (page) => {
      await page.route(`**/v1/drops/${drop}/challenges`, (route) => route.fulfill(problem(503, "overloaded", 30)));
      await page.goto(`${world.base}/d/${drop}#identity=${identity("spoken")}`);
      await text(page, "Many people are getting ready.");
      const spoken = await page.evaluate(async () => {
        const [news, fine] = [document.querySelector(".outcome [role=status]"), document.querySelector(".outcome > .fine")];
        const [said, shown] = [new Set([news.textContent]), new Set()];
        await new Promise((resolve) => {
          const look = () => {
            said.add(news.textContent);
            if (!fine.hidden) shown.add(fine.textContent);
            if (said.size > 3 || shown.size >= 3) resolve();
          };
          new MutationObserver(look).observe(document.querySelector(".outcome"), { subtree: true, childList: true, characterData: true });
        });
        return [...said];
      });
      assert.equal(spoken.length, 1, spoken.join(" | "));
      await page.locator(".outcome > .fine", { hasText: /^Trying again in \d+ s$/ }).waitFor();
    });
  }
}
