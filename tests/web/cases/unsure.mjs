// A lost answer, and behind it one that says nothing of what became of the wish: its key is kept until there is one that does.

import assert from "node:assert/strict";

import { button, campaign, held, identity, shot, signedIn, text, tone, until, visit, world } from "../world.mjs";

const claims = (drop) => `**/v1/drops/${drop}/claims`;
const problem = (status, code, seconds = 1) => ({
  status,
  contentType: "application/problem+json",
  headers: { "retry-after": String(seconds) },
  body: JSON.stringify({ code, status, request_id: "0123456789abcdef" }),
});

/** Lets the first claim through and loses its answer; gives another one to the second, and lets all others through. Gives their keys. */
async function lost(page, drop, second) {
  const keys = [];
  await page.route(claims(drop), async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length === 2) return route.fulfill(second);
    if (keys.length > 2) return route.continue();
    assert.equal((await route.fetch()).status(), 201);
    return route.abort("connectionreset");
  });
  return keys;
}

export async function who_stops_waiting_taps_for_the_same_wish() {
  const drop = "unsure-stop";
  await campaign("c-unsure-stop", [{ drop, limit: 2 }]);
  await visit({ locale: "en-US" }, async (page) => {
    const keys = await lost(page, drop, problem(503, "overloaded", 60));
    await page.goto(signedIn(drop, "stopper"));
    await tone(page, "go");
    await button(page).tap();
    await until("it is overloaded", () => keys.length === 2);
    // That this try was refused says nothing of the one before.
    await text(page, "Your claim may have gone through");
    await page.getByText(/Trying again in [4-9]\d s/).waitFor();
    await shot(page, "unsure-en");
    await page.getByRole("button", { name: "Stop trying" }).tap();
    await tone(page, "go");
    // Whoever stopped is not brought to claim by a reload; what there is is shown.
    await page.reload();
    await text(page, "You have it already");
    assert.equal(keys.length, 2);
    const another = page.getByRole("button", { name: "Claim another one" });
    await another.tap();
    await until("it is sent again", () => keys.length === 3);
    await another.waitFor();
    assert.equal(new Set(keys).size, 1, "one wish, one key");
    assert.equal((await held(drop, "stopper")).length, 1);
    // Now that it is certain, a further tap is a wish of its own.
    await another.tap();
    await page.locator(".number", { hasText: "2" }).waitFor();
    assert.equal(new Set(keys).size, 2);
    assert.equal((await held(drop, "stopper")).length, 2);
  });
}

export async function a_pause_behind_a_lost_answer_makes_no_second_wish() {
  const drop = "unsure-paused";
  await campaign("c-unsure-paused", [{ drop, limit: 2 }]);
  await visit({}, async (page) => {
    const keys = await lost(page, drop, problem(503, "paused"));
    await page.goto(signedIn(drop, "paused"));
    await tone(page, "go");
    // How the drop stands is not seen until the pause was.
    await page.route(`**/v1/drops/${drop}`, (route) => route.abort());
    await button(page).tap();
    await page.getByRole("heading", { name: "主办方已暂停活动" }).waitFor();
    await page.unroute(`**/v1/drops/${drop}`);
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1, "one wish, one key");
    assert.equal((await held(drop, "paused")).length, 1);
  });
}

export async function a_ticket_that_ends_behind_a_lost_answer_makes_no_second_wish() {
  const drop = "unsure-ticket";
  await campaign("c-unsure-ticket", [{ drop, limit: 2 }]);
  await visit({}, async (page) => {
    const keys = await lost(page, drop, problem(401, "ticket_invalid"));
    await page.goto(signedIn(drop, "ticket"));
    await tone(page, "go");
    await button(page).tap();
    await page.getByRole("heading", { name: "登录信息无效" }).waitFor();
    // The sponsor signs the same person in again: the page asks by itself what became of the wish.
    await page.goto(signedIn(drop, "ticket", { jti: "another" }));
    await tone(page, "good");
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1, "one wish, one key");
    assert.equal((await held(drop, "ticket")).length, 1);
  });
}

/** Loses the first claim on its way there, and answers the question for claims that follows with `instead`, once. */
async function lostAndAsked(page, drop, instead) {
  let [posts, asked] = [0, 0];
  await page.route(claims(drop), async (route) => {
    posts += 1;
    if (posts > 1) return route.continue();
    await page.route(`${claims(drop)}/mine`, (mine) => {
      asked += 1;
      return asked === 1 ? mine.fulfill(instead) : mine.continue();
    });
    return route.abort("connectionreset");
  });
}

export async function a_ticket_that_ends_while_the_page_asks_is_made_anew() {
  const drop = "unsure-renew";
  await campaign("c-unsure-renew", [{ drop }]);
  await visit({}, async (page) => {
    let tickets = 0;
    page.on("request", (request) => {
      if (request.url().endsWith(`${drop}/tickets`)) tickets += 1;
    });
    await lostAndAsked(page, drop, problem(401, "ticket_invalid"));
    await page.goto(`${world.base}/d/${drop}#identity=${identity("renew")}`);
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    assert.equal(tickets, 2);
  });
}

export async function a_ticket_that_ends_while_the_page_asks_is_told_of() {
  const drop = "unsure-told";
  await campaign("c-unsure-told", [{ drop }]);
  await visit({}, async (page) => {
    await lostAndAsked(page, drop, problem(401, "ticket_invalid"));
    await page.goto(signedIn(drop, "told"));
    await tone(page, "go");
    await button(page).tap();
    await page.getByRole("heading", { name: "登录信息无效" }).waitFor();
  });
}
