// Units that are kept until they are paid for: what the page shows until then, and what becomes of them.

import assert from "node:assert/strict";

import { accessible, button, call, campaign, claim, held, pay, shot, signedIn, text, tone, until, visit, world } from "../world.mjs";

const heading = (page, name) => page.getByRole("heading", { name }).waitFor();
const giveBack = (page) => page.locator("main .give-back button");

/** Goes to a drop and claims there. */
async function claimed(page, drop, person, more) {
  await page.goto(signedIn(drop, person, more));
  await tone(page, "go");
  await button(page).tap();
  await tone(page, "good");
  const [mine] = await held(drop, person);
  return mine;
}

/** The seconds that the countdown shows. */
const left = (page) =>
  page.locator(".outcome .countdown").evaluate((node) => {
    const shown = [...node.querySelectorAll(".unit")].filter((unit) => !unit.hidden);
    return shown.reduce((sum, unit) => sum * 60 + Number(unit.querySelector("b").textContent), 0);
  });

export async function kept_until_it_is_paid_for() {
  const drop = "held-paid";
  await campaign("c-held-paid", [{ drop, name: "手机以旧换新", item: 'hold_for = "15m"' }]);
  await visit({ reducedMotion: "reduce" }, async (page) => {
    await page.goto(signedIn(drop, "payer"));
    await text(page, "须在 15 分钟内支付");
    const mine = await claimed(page, drop, "payer");
    await heading(page, "已为您保留");
    const seconds = (Date.parse(mine.hold_expires_at) - Date.now()) / 1_000;
    assert.ok(Math.abs((await left(page)) - seconds) < 5, `${await left(page)} of ${seconds}`);
    const first = await left(page);
    await until("the countdown goes on", async () => (await left(page)) < first);
    await accessible(page, "held");
    await shot(page, "held-zh");
    // Over a reload, and before anybody is asked.
    await page.reload();
    await heading(page, "已为您保留");
    await page.goto(`${world.base}/vouchers`);
    await text(page, /请在 .* 前支付，还剩 1[0-4]:[0-5]\d/);
    await text(page, "为您保留");
    await accessible(page, "held in the wallet");
    await shot(page, "held-wallet-zh");

    await page.goto(`${world.base}/d/${drop}`);
    await heading(page, "已为您保留");
    assert.equal((await pay(mine.claim_id, "pay-1")).status, 200);
    // Who comes back from paying sees it at once.
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await heading(page, "支付成功");
    assert.equal(await page.locator(".outcome .countdown").isVisible(), false);
    assert.equal(await giveBack(page).isVisible(), false);
    await accessible(page, "paid");
    await shot(page, "held-paid-zh");
    await button(page).tap();
    await text(page, "已支付");
    assert.equal(await giveBack(page).isVisible(), false);
    await shot(page, "held-paid-wallet-zh");
  });
}

export async function given_back_at_the_second_tap_and_claimed_again() {
  const drop = "held-back";
  await campaign("c-held-back", [{ drop, name: "Phone for trade-in", stock: 1, item: 'hold_for = "15m"' }]);
  await visit({ locale: "en-US" }, async (page) => {
    const mine = await claimed(page, drop, "giver");
    await heading(page, "Kept for you");
    await shot(page, "held-en");
    await giveBack(page).tap();
    await text(page, "Tap again to give it back");
    assert.deepEqual((await held(drop, "giver")).map(({ status }) => status), ["held"], "one tap does nothing");
    await accessible(page, "asked");
    await shot(page, "held-sure-en");
    await giveBack(page).tap();
    await heading(page, "You gave it back");
    assert.equal((await held(drop, "giver"))[0]?.status, "cancelled");
    await until("the unit is back", async () => (await call("GET", `/v1/drops/${drop}`)).data.stock_left === 1);
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    await page.getByRole("button", { name: "Claim again" }).waitFor();
    await accessible(page, "given back");
    await shot(page, "held-given-back-en");
    await button(page).tap();
    await heading(page, "Kept for you");
    const again = (await held(drop, "giver")).find(({ status }) => status === "held");
    assert.notEqual(again.claim_id, mine.claim_id);
    // The wallet has both, and gives the second one back too.
    await button(page).tap();
    await text(page, "Cancelled");
    await shot(page, "held-wallet-en");
    const buttons = page.locator(".give-back button:visible");
    assert.equal(await buttons.count(), 1);
    await buttons.tap();
    await buttons.tap();
    await until("it went back", async () => (await held(drop, "giver")).every(({ status }) => status === "cancelled"));
    await until("the wallet says so", async () => (await page.getByText("Cancelled").count()) === 2);
  });
}

export async function not_paid_in_time() {
  const drop = "held-lapsed";
  await campaign("c-held-lapsed", [{ drop, name: "手机以旧换新", item: 'hold_for = "8s"' }]);
  await visit({}, async (page) => {
    await claimed(page, drop, "late");
    await heading(page, "支付已超时");
    await page.getByRole("button", { name: "重新领取" }).waitFor();
    await accessible(page, "lapsed");
    await shot(page, "held-lapsed-zh");
    await button(page).tap();
    await heading(page, "已为您保留");
    // Whoever looks at the wallet instead sees it there.
    await page.goto(`${world.base}/vouchers`);
    await until("both have lapsed", async () => (await page.getByText("超时未支付").count()) === 2);
    await shot(page, "held-lapsed-wallet-zh");
  });
}

export async function it_lapsed_while_the_page_was_closed() {
  const drop = "held-closed";
  await campaign("c-held-closed", [{ drop, item: 'hold_for = "6s", claim_again = false' }]);
  await visit({ locale: "en-US" }, async (page) => {
    await claimed(page, drop, "away");
    await page.goto("about:blank");
    await until("it has lapsed", async () => (await held(drop, "away"))[0]?.status === "lapsed");
    await page.goto(`${world.base}/d/${drop}`);
    await heading(page, "The time to pay is over");
    // Until the service has said so, the page asks.
    await text(page, "It was not paid for in time");
    // This drop gives nobody another one.
    await page.getByRole("heading", { name: drop }).waitFor();
    assert.equal(await button(page).isVisible(), false);
    await shot(page, "held-lapsed-for-good-en");
  });
}

export async function a_lost_answer_to_another_try_is_asked_for_and_not_taken_for_the_one_before() {
  const drop = "held-lost";
  await campaign("c-held-lost", [{ drop, item: 'hold_for = "15m"' }]);
  const first = (await claim(drop, "unlucky")).data;
  await visit({ locale: "en-US" }, async (page) => {
    await page.goto(signedIn(drop, "unlucky"));
    await heading(page, "Kept for you");
    await giveBack(page).tap();
    await giveBack(page).tap();
    await heading(page, "You gave it back");
    let lost = 0;
    await page.route(`**/v1/drops/${drop}/claims`, (route) => {
      lost += 1;
      return lost === 1 ? route.abort() : route.continue();
    });
    await button(page).tap();
    await heading(page, "Kept for you");
    assert.ok(lost >= 2, "it was sent again");
    const now = (await held(drop, "unlucky")).filter(({ status }) => status === "held");
    assert.deepEqual([now.length, now[0].claim_id === first.claim_id], [1, false]);
  });
}

export async function won_in_another_release_of_the_campaign() {
  const [won, other] = ["held-once-won", "held-once-other"];
  const rule = "eligibility = { one_per_campaign = true }";
  await campaign("c-held-once", [{ drop: won, name: "周一场" }, { drop: other, name: "周二场" }], rule);
  assert.equal((await claim(won, "winner")).status, 201);
  await visit({}, async (page) => {
    await page.goto(signedIn(other, "winner"));
    await tone(page, "go");
    await button(page).tap();
    await heading(page, "您在本次活动中已领到");
    await accessible(page, "won elsewhere");
    await shot(page, "once-zh");
    await button(page).tap();
    await page.waitForURL(`**/d/${won}`);
  });
}
