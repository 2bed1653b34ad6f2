// Every refusal's page, by the real service wherever it can be brought to refuse.

import assert from "node:assert/strict";

import { button, campaign, claim, claimrush, identity, shot, signedIn, text, tone, visit, world } from "../world.mjs";

const byIdentity = (drop, account, more) => `${world.base}/d/${drop}#identity=${identity(account, more)}`;

/** Goes to a drop, and looks at what is said. */
async function says(address, words, { tap = false, name, ...options } = {}) {
  await visit(options, async (page) => {
    await page.goto(address);
    if (tap) {
      await tone(page, "go");
      await button(page).tap();
    }
    await page.getByRole("heading", { name: words }).waitFor();
    if (name) await shot(page, name);
  });
}

export async function sold_out_between_the_look_and_the_tap() {
  const drop = "no-sold-out";
  await campaign("c-sold-out", [{ drop, stock: 1 }]);
  await visit({ locale: "en-US" }, async (page) => {
    let state;
    await page.route(`**/v1/drops/${drop}`, async (route) => {
      // The state that the page saw last stays, as between two looks.
      state ??= await (await route.fetch()).json();
      return route.fulfill({ json: state });
    });
    await page.goto(signedIn(drop, "late"));
    await tone(page, "go");
    assert.equal((await claim(drop, "quick")).status, 201);
    await button(page).tap();
    await page.getByRole("heading", { name: "All gone" }).waitFor();
    await shot(page, "sold-out-en");
  });
}

export async function closed() {
  await campaign("c-closed", [{ drop: "no-closed", opens: -600, closes: -60 }]);
  await says(signedIn("no-closed", "ann"), "活动已结束", { name: "closed-zh" });
}

export async function paused_and_resumed() {
  const drop = "no-paused";
  await campaign("c-paused", [{ drop }]);
  await claimrush("campaign", "pause", "c-paused");
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, "ann"));
    await page.getByRole("heading", { name: "主办方已暂停活动" }).waitFor();
    await shot(page, "paused-zh");
    await claimrush("campaign", "resume", "c-paused");
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    await tone(page, "go");
  });
}

export async function the_limit_is_reached_elsewhere_and_the_claims_are_shown() {
  const drop = "no-limit";
  await campaign("c-reached", [{ drop, limit: 2 }]);
  await visit({}, async (page) => {
    // The page looks once whether there is a claim already; what comes after that look it does not know.
    const looked = page.waitForResponse((answer) => answer.url().endsWith("/claims/mine"));
    await page.goto(signedIn(drop, "both"));
    await Promise.all([looked, tone(page, "go")]);
    for (const key of ["one", "two"]) assert.equal((await claim(drop, "both", key)).status, 201);
    await button(page).tap();
    await page.getByRole("heading", { name: "您已领满" }).waitFor();
    await shot(page, "limit-zh");
    await button(page).tap();
    await page.locator(".wallet .mine").nth(1).waitFor();
  });
}

export async function not_eligible() {
  const eligibility = 'eligibility = { regions = ["53"] }';
  await campaign("c-eligible", [{ drop: "no-eligible", eligibility }]);
  await says(byIdentity("no-eligible", "far-away", { region: "110101" }), "此账号不符合条件", { name: "not-eligible-zh" });
}

export async function blocked() {
  await campaign("c-blocked", [{ drop: "no-blocked" }]);
  await says(signedIn("no-blocked", world.blocked), "您无法参加", { tap: true, name: "blocked-zh" });
}

export async function nobody_is_signed_in() {
  await campaign("c-nobody", [{ drop: "no-ticket" }]);
  await visit({ mayFail: (_, url) => url.startsWith(world.login) }, async (page) => {
    await page.goto(`${world.base}/d/no-ticket`);
    await page.getByRole("heading", { name: "请先登录" }).waitFor();
    await shot(page, "sign-in-zh");
    // The sponsor's sign-in is elsewhere, and knows where to come back to.
    let asked;
    await page.route(`${world.login}**`, (route) => {
      asked = route.request().url();
      return route.fulfill({ contentType: "text/html", body: "<title>Sign in</title>" });
    });
    await button(page).tap();
    await page.waitForURL(`${world.login}**`);
    assert.equal(asked, `${world.login}?to=no-ticket`);
  });
}

export async function a_ticket_that_nobody_believes() {
  await campaign("c-forged", [{ drop: "no-forged" }]);
  await says(`${signedIn("no-forged", "ann")}A`, "登录信息无效", { tap: true, name: "ticket-invalid-zh" });
}

export async function a_ticket_that_ends_while_the_page_is_open() {
  await campaign("c-expired", [{ drop: "no-expired" }]);
  const exp = Math.floor(Date.now() / 1_000) + 2;
  await says(signedIn("no-expired", "ann", { exp }), "登录已过期", { name: "ticket-expired-zh" });
}

export async function a_ticket_that_the_service_finds_expired() {
  const drop = "no-expired-there";
  await campaign("c-expired-there", [{ drop }]);
  const exp = Math.floor(Date.now() / 1_000) - 10;
  await visit({}, async (page) => {
    // The page takes the ticket for good as long as its clock is behind.
    await page.route("**/v1/time", async (route) => {
      const { server_time: time } = await (await route.fetch()).json();
      return route.fulfill({ json: { server_time: new Date(Date.parse(time) - 60_000).toISOString() } });
    });
    await page.goto(signedIn(drop, "ann", { exp }));
    await tone(page, "go");
    await button(page).tap();
    await page.getByRole("heading", { name: "登录已过期" }).waitFor();
  });
}

export async function an_identity_that_has_expired_or_is_not_believed() {
  await campaign("c-identity", [{ drop: "no-identity" }]);
  await says(byIdentity("no-identity", "ann", { exp: 1_000 }), "登录已过期");
  await says(`${byIdentity("no-identity", "ann")}A`, "登录信息无效");
}

export async function a_challenge_that_is_not_solved() {
  const [drop, other] = ["no-challenge", "no-challenge-2"];
  await campaign("c-challenge", [{ drop }, { drop: other }]);
  await visit({}, async (page) => {
    // Another drop's challenge: the solution is right, and not for this one.
    const elsewhere = `**/v1/drops/${drop}/challenges`;
    await page.route(elsewhere, (route) => route.continue({ url: route.request().url().replace(drop, other) }));
    await page.goto(byIdentity(drop, "ann"));
    await page.getByRole("heading", { name: "验证没有通过" }).waitFor();
    await shot(page, "challenge-zh");
    await page.unroute(elsewhere);
    await button(page).tap();
    await tone(page, "go");
  });
}

export async function the_desk_is_not_open_yet() {
  await campaign("c-desk", [{ drop: "no-desk-yet", opens: 7_200, closes: 9_000 }]);
  await visit({}, async (page) => {
    await page.goto(byIdentity("no-desk-yet", "ann"));
    await text(page, "还没到发放领取资格的时间");
    await shot(page, "desk-not-open-zh");
  });
}

export async function no_such_drop_and_something_else() {
  await says(`${world.base}/d/nowhere`, "没有这场活动", { name: "unknown-drop-zh" });
  const drop = "no-other";
  await campaign("c-other", [{ drop }]);
  await visit({ locale: "en-US" }, async (page) => {
    const body = { code: "headers_too_large", request_id: "00c0ffee00c0ffee" };
    await page.route(`**/v1/drops/${drop}/claims`, (route) => route.fulfill({ status: 431, json: body }));
    await page.goto(signedIn(drop, "ann"));
    await tone(page, "go");
    await button(page).tap();
    // Whoever calls for help has a number to give.
    await text(page, "Code headers_too_large, number 00c0ffee00c0ffee");
    await shot(page, "other-en");
    await button(page).tap();
    await tone(page, "go");
  });
}

export async function the_service_does_not_answer() {
  await visit({ locale: "en-US" }, async (page) => {
    await page.route("**/v1/**", (route) => route.abort("connectionrefused"));
    await page.goto(`${world.base}/d/anything`);
    await page.getByRole("heading", { name: "The service does not answer" }).waitFor();
    await shot(page, "no-service-en");
  });
}
