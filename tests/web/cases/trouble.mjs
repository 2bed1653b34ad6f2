// What goes wrong between the tap and the answer: lost answers, answers that do not come whole, lost networks, reloads, sleep.

import assert from "node:assert/strict";

import { button, campaign, held, shot, signedIn, text, tone, until, visit, world } from "../world.mjs";

const claims = (drop) => `**/v1/drops/${drop}/claims`;

/** Lets the first claim reach the service, and then does something else than to bring the answer back. */
async function first(page, drop, instead) {
  const keys = [];
  let done = false;
  await page.route(claims(drop), async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (done) return route.continue();
    done = true;
    const answer = await route.fetch();
    assert.equal(answer.status(), 201);
    return instead(route);
  });
  return keys;
}

export async function the_network_breaks_off_during_the_claim() {
  const drop = "trouble-offline";
  await campaign("c-offline", [{ drop, limit: 2 }]);
  const mayFail = (words) => words.includes("ERR_INTERNET_DISCONNECTED");
  await visit({ mayFail }, async (page, context) => {
    const keys = await first(page, drop, async (route) => {
      await context.setOffline(true);
      await route.abort("internetdisconnected");
    });
    await page.goto(signedIn(drop, "offline"));
    await tone(page, "go");
    await button(page).tap();
    await text(page, "网络中断了");
    await shot(page, "offline-zh");
    await context.setOffline(false);
    await tone(page, "good");
    assert.equal((await held(drop, "offline")).length, 1);
    assert.equal(new Set(keys).size, 1, "one wish, one key");
  });
}

export async function a_reload_in_the_middle_of_the_claim() {
  const drop = "trouble-reload";
  await campaign("c-reload", [{ drop, limit: 2 }]);
  await visit({}, async (page) => {
    let reached;
    const sent = new Promise((resolve) => {
      reached = resolve;
    });
    const keys = await first(page, drop, () => reached());
    await page.goto(signedIn(drop, "reload"));
    await tone(page, "go");
    await button(page).tap();
    await sent;
    await text(page, "正在领取……");
    await shot(page, "sending-zh");
    await page.reload();
    await tone(page, "good");
    assert.equal((await held(drop, "reload")).length, 1);
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    // And once more, without a network: what was claimed is known on the phone.
    await page.route("**/v1/**", (route) => route.abort());
    await page.reload();
    await tone(page, "good");
  });
}

export async function no_answer_is_asked_for_until_there_is_one() {
  const drop = "trouble-unknown";
  await campaign("c-unknown", [{ drop }]);
  await visit({ locale: "en-GB" }, async (page) => {
    let asked = 0;
    const unknown = { status: 503, json: { code: "outcome_unknown", request_id: "r" }, headers: { "retry-after": "3" } };
    await page.route(`${claims(drop)}/mine`, (route) => {
      asked += 1;
      // Too few replicas have it: the service cannot say yet.
      return asked === 2 ? route.fulfill(unknown) : route.continue();
    });
    const keys = await first(page, drop, (route) => route.fulfill(unknown));
    await page.goto(signedIn(drop, "unknown"));
    await tone(page, "go");
    await button(page).tap();
    await text(page, "No answer yet");
    await shot(page, "unknown-en");
    await tone(page, "good");
    assert.equal(keys.length, 1, "it asks, and does not claim again");
    // The first look was before the tap.
    assert.ok(asked >= 3, `${asked}`);
  });
}

export async function the_answer_was_no_and_got_lost() {
  const drop = "trouble-lost-no";
  await campaign("c-lost-no", [{ drop }]);
  await visit({}, async (page) => {
    let posts = 0;
    await page.route(claims(drop), (route) => {
      posts += 1;
      // The request never arrives: nothing was claimed, and the page cannot know.
      return posts === 1 ? route.abort("connectionreset") : route.continue();
    });
    await page.goto(signedIn(drop, "lost"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    assert.equal(posts, 2);
    assert.equal((await held(drop, "lost")).length, 1);
  });
}

/** What is left of an answer that broke off. */
const cut = (status) => ({ status, contentType: "application/json", body: '{"claim_id":"clm_1","' });

async function breaksOff(drop, limit) {
  await campaign(`c-${drop}`, [{ drop, limit }]);
  await visit({}, async (page) => {
    let asked = 0;
    const keys = await first(page, drop, async (route) => {
      await page.route(`${claims(drop)}/mine`, (mine) => {
        asked += 1;
        return asked === 1 ? mine.fulfill(cut(200)) : mine.continue();
      });
      return route.fulfill(cut(201));
    });
    await page.goto(signedIn(drop, "cut"));
    await tone(page, "go");
    await button(page).tap();
    await text(page, "网络中断了");
    await tone(page, "good");
    assert.equal((await held(drop, "cut")).length, 1);
    assert.equal(new Set(keys).size, 1);
  });
}

export const an_answer_that_breaks_off_is_asked_for_again = () => breaksOff("trouble-cut", 1);
export const an_answer_that_breaks_off_is_asked_for_again_where_one_may_have_two = () => breaksOff("trouble-cut-2", 2);

export async function how_a_drop_stands_is_looked_at_again_after_an_answer_that_is_none() {
  const drop = "trouble-state";
  await campaign("c-state", [{ drop }]);
  const elsewhere = { status: 200, contentType: "text/html", body: "<!doctype html><title>Not here</title>" };
  await visit({}, async (page) => {
    const answers = [cut(200), elsewhere];
    let seen = 0;
    await page.route(`**/v1/drops/${drop}`, (route) => {
      seen += 1;
      const instead = answers.shift();
      return instead ? route.fulfill(instead) : route.continue();
    });
    await page.goto(signedIn(drop, "state"));
    await tone(page, "go");
    assert.ok(seen >= 3, `${seen}`);
  });
}

export async function the_list_is_looked_at_again_after_one_that_makes_no_sense() {
  const drop = "trouble-list";
  await campaign("c-list", [{ drop }]);
  await visit({ mayFail: (words) => words.includes("TypeError") }, async (page) => {
    let lists = 0;
    await page.route("**/v1/campaigns", (route) => {
      lists += 1;
      return lists === 1 ? route.fulfill({ json: {} }) : route.continue();
    });
    await page.goto(`${world.base}/`);
    await page.locator(`a[href="/d/${drop}"]`).waitFor();
  });
}

export async function the_texts_come_late() {
  const drop = "trouble-texts";
  await campaign("c-texts", [{ drop }]);
  const texts = /\/assets\/(en|zh)\./;
  await visit({ mayFail: (_, url) => texts.test(url) }, async (page) => {
    let asked = 0;
    let there = false;
    await page.route(texts, (route) => {
      asked += 1;
      if (there) return route.continue();
      return asked === 1 ? route.abort("connectionreset") : route.fulfill({ status: 502, contentType: "text/html", body: "<p>later</p>" });
    });
    await page.goto(signedIn(drop, "texts"));
    await text(page, "正在自动重试");
    await text(page, "It keeps trying");
    await shot(page, "texts-late");
    await until("it is asked for again", () => asked >= 2);
    there = true;
    await tone(page, "go");
    assert.equal(await page.getByText("It keeps trying").count(), 0);
    // Another language that does not come leaves the one there is.
    there = false;
    const pick = page.getByLabel("语言");
    await pick.selectOption({ label: "English" });
    await page.waitForFunction(() => document.querySelector("header select").value === "zh");
    await text(page, "立即领取");
    there = true;
    await pick.selectOption({ label: "English" });
    await text(page, "Claim now");
  });
}

export async function an_address_that_nobody_can_read_is_the_list() {
  const drop = "trouble-address";
  await campaign("c-address", [{ drop }]);
  await visit({}, async (page) => {
    await page.goto(`${world.base}/d/%E0%A4%A`);
    await page.locator(`a[href="/d/${drop}"]`).waitFor();
  });
}

export async function a_phone_that_slept_looks_at_the_clock_again() {
  const drop = "trouble-sleep";
  await campaign("c-sleep", [{ drop, opens: 1_200 }]);
  // Asleep, a phone's monotonic clock stands still on some systems, while the other goes on.
  const script = `{
    const running = performance.now.bind(performance);
    let slept = 0;
    performance.now = () => running() - slept;
    window.sleepFor = (ms) => {
      slept += ms;
    };
  }`;
  await visit({ script }, async (page) => {
    await page.goto(signedIn(drop, "sleep"));
    await tone(page, "ready");
    let looks = 0;
    await page.route("**/v1/time", (route) => {
      looks += 1;
      return route.continue();
    });
    const seconds = async () => {
      const [, hours, minutes, last] = (await page.locator(".countdown b").allTextContents()).map(Number);
      return (hours * 60 + minutes) * 60 + last;
    };
    const before = await seconds();
    await page.evaluate(() => window.sleepFor(300_000));
    await until("it looks at the clock", () => looks > 0);
    // Without a new look the countdown would stand five minutes too high.
    await page.waitForFunction((limit) => {
      const [, hours, minutes, last] = [...document.querySelectorAll(".countdown b")].map((node) => Number(node.textContent));
      return (hours * 60 + minutes) * 60 + last <= limit;
    }, before);
  });
}

export async function a_phone_that_keeps_no_more_works_until_the_next_reload() {
  const [before, drop] = ["trouble-kept", "trouble-full"];
  await campaign("c-full", [{ drop: before }, { drop }]);
  await visit({}, async (page) => {
    await page.goto(signedIn(before, "full"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    // Others on this origin have taken all the room that there is, to the last letter.
    await page.evaluate(() => {
      for (let size = 2 ** 22, n = 0; size >= 1; n += 1) {
        try {
          localStorage.setItem(String(n), "x".repeat(size));
        } catch {
          size = Math.floor(size / 2);
        }
      }
    });
    await page.goto(signedIn(drop, "full"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    await page.locator(".number", { hasText: "2" }).waitFor();
    await button(page).tap();
    await until("both are shown", async () => (await page.locator(".wallet .code").count()) === 2);
    assert.equal((await held(drop, "full")).length, 1);
  });
}
