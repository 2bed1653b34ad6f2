// Who somebody is: handed over by a form, changed, signed out, and anybody in the demo.

import assert from "node:assert/strict";

import { accessible, button, campaign, identity, shot, signedIn, text, ticket, tone, until, visit, world } from "../world.mjs";

export async function a_form_of_the_sponsor_hands_somebody_over() {
  const drop = "who-form";
  await campaign("c-form", [{ drop }]);
  for (const [field, token] of [
    ["ticket", ticket(drop, "form")],
    ["identity", identity("form")],
  ]) {
    await visit({}, async (page) => {
      const form = `<form method="post" action="${world.base}/d/${drop}"><input name="${field}" value="${token}"><button>go</button></form>`;
      await page.route("**/sponsor", (route) => route.fulfill({ contentType: "text/html", body: form }));
      await page.goto(`${world.base}/sponsor`);
      await page.getByRole("button").tap();
      await tone(page, "go");
      assert.equal(page.url(), `${world.base}/d/${drop}`);
      const kept = await page.evaluate(() => history.length);
      assert.ok(kept <= 3, "the hand-over is one step in the history");
    });
  }
}

export async function a_ticket_alone_leads_to_its_drop() {
  const drop = "who-start";
  await campaign("c-start", [{ drop }]);
  await visit({}, async (page) => {
    await page.goto(`${world.base}/#ticket=${ticket(drop, "start")}`);
    await tone(page, "go");
    assert.equal(page.url(), `${world.base}/d/${drop}`);
  });
}

/** What the phone keeps of a person, by name. */
async function keptBy(page) {
  const kept = await page.evaluate(() => Object.keys(localStorage).concat(Object.keys(sessionStorage)).sort());
  return kept.filter((name) => !["claimrush:device", "claimrush:language"].includes(name));
}

/** Holds back what is answered to calls of this kind. `asked()` waits for the first; `letGo()` waits until the page has had its answer. */
async function heldBack(page, url) {
  let go;
  const gone = new Promise((resolve) => {
    go = resolve;
  });
  const first = page.waitForRequest(url);
  await page.route(url, async (route) => {
    const response = await route.fetch();
    await gone;
    return route.fulfill({ response });
  });
  return {
    asked: () => first,
    letGo: async () => {
      const came = page.waitForResponse(url);
      go();
      await (await came).finished();
      // What is asked for behind it is answered behind it.
      await page.evaluate(async () => (await fetch("/v1/time")).text());
    },
  };
}

const signOut = (page) => page.getByRole("button", { name: "退出登录" }).tap();

/** Whoever came by a link is let in, in the place of who is signed in. */
const letIn = (page) => page.getByRole("button", { name: "切换账号" }).tap();

/** Somebody who has a voucher, looks at it, and leaves the phone by `leave` before the service has said how it stands. */
async function leavesWhileVouchersAreLookedAt(drop, leave) {
  await campaign(`c-${drop}`, [{ drop }]);
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, "one"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    const late = await heldBack(page, /\/v1\/vouchers\/[^/]+$/);
    await button(page).tap();
    await page.locator(".wallet .code").waitFor();
    await late.asked();
    await leave(page);
    await text(page, "这里还没有券");
    await late.letGo();
    assert.equal(await page.evaluate(() => localStorage.getItem("claimrush:claims")), null);
    await page.reload();
    await text(page, "这里还没有券");
  });
}

export const who_signs_out_while_vouchers_are_looked_at_leaves_nothing = () =>
  leavesWhileVouchersAreLookedAt("who-leaves", async (page) => {
    await signOut(page);
    await until("nothing is kept", async () => (await keptBy(page)).length === 0);
  });

export const who_takes_over_while_vouchers_are_looked_at_sees_none = () =>
  leavesWhileVouchersAreLookedAt("who-follows", async (page) => {
    await page.goto(`${world.base}/vouchers#ticket=${ticket("who-follows", "two")}`);
    await letIn(page);
  });

/** Somebody who signs out while an answer to `path` is on its way. */
async function signsOutDuring(drop, path, sign, act) {
  await campaign(`c-${drop}`, [{ drop }]);
  await visit({}, async (page) => {
    const late = await heldBack(page, `**/v1/drops/${drop}/${path}`);
    await page.goto(`${world.base}/d/${drop}#${sign(drop)}`);
    await act(page);
    await late.asked();
    await signOut(page);
    await page.getByRole("heading", { name: "请先登录" }).waitFor();
    await late.letGo();
    assert.deepEqual(await keptBy(page), []);
    await page.reload();
    await page.getByRole("heading", { name: "请先登录" }).waitFor();
  });
}

export const who_signs_out_during_a_claim_leaves_nothing = () =>
  signsOutDuring("who-claims", "claims", (drop) => `ticket=${ticket(drop, "one")}`, async (page) => {
    await tone(page, "go");
    await button(page).tap();
  });

export const who_signs_out_before_the_ticket_comes_gets_none = () =>
  signsOutDuring("who-waits", "tickets", () => `identity=${identity("one")}`, async () => {});

export async function somebody_else_sees_nothing_of_the_one_before() {
  const drop = "who-else";
  await campaign("c-else", [{ drop }]);
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, "one"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    // The same phone is handed to somebody else, while the page is open.
    await page.goto(signedIn(drop, "two"));
    await letIn(page);
    await tone(page, "go");
    await page.goto(`${world.base}/vouchers`);
    await text(page, "这里还没有券");
    // The same by an identity, before there is any ticket.
    await page.goto(signedIn(drop, "one"));
    await letIn(page);
    await tone(page, "good");
    await page.goto(`${world.base}/vouchers#identity=${identity("three")}`);
    await letIn(page);
    await text(page, "这里还没有券");
    await shot(page, "vouchers-empty-zh");
    await signOut(page);
    await page.goto(`${world.base}/d/${drop}`);
    await page.getByRole("heading", { name: "请先登录" }).waitFor();
    assert.deepEqual(await keptBy(page), []);
  });
}

export async function a_link_of_somebody_else_signs_nobody_out() {
  const drop = "who-link";
  await campaign("c-link", [{ drop }]);
  const said = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.`;
  await visit({}, async (page, context) => {
    await page.goto(signedIn(drop, "theirs"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    const kept = () => page.evaluate(() => ["person", "tickets", "account"].map((name) => localStorage.getItem(`claimrush:${name}`)));
    const before = await kept();
    const other = await context.newPage();
    for (const handed of [
      `ticket=${ticket(drop, "mallory")}`,
      `ticket=${said({ sub: "mallory", drop })}`,
      `ticket=${said({ drop })}`,
      `identity=${identity("mallory")}`,
      "identity=x",
    ]) {
      await other.goto(`${world.base}/vouchers#${handed}`);
      await text(other, "此链接属于另一个账号");
      assert.ok(!other.url().includes("#"), "it is out of the address at once");
      // It waits over a reload, and takes nothing meanwhile.
      await other.reload();
      await text(other, "此链接属于另一个账号");
      await other.locator(".wallet .code").waitFor();
      await other.getByRole("button", { name: "保持当前登录" }).tap();
      await until("it is gone", async () => (await other.locator(".stranger").count()) === 0);
      await other.reload();
      await other.locator(".wallet .code").waitFor();
      assert.equal(await other.locator(".stranger").count(), 0, handed);
    }
    // What nobody can read is nobody's.
    await other.goto(`${world.base}/vouchers#ticket=x`);
    await other.locator(".wallet .code").waitFor();
    assert.equal(await other.locator(".stranger").count(), 0);
    assert.deepEqual(await kept(), before);
    // Their own links are taken without a word.
    await page.goto(signedIn(drop, "theirs", { jti: "another" }));
    await tone(page, "good");
    assert.equal(await page.locator(".stranger").count(), 0);
    await other.goto(signedIn(drop, "mallory"));
    await text(other, "此链接属于另一个账号");
    await accessible(other, "a link of somebody else");
    await shot(other, "stranger-zh");
    await signOut(other);
    await asksToSignIn(other);
    assert.equal(await other.locator(".stranger").count(), 0, "who signs out wants nobody in their place");
    assert.deepEqual(await keptBy(other), []);
  });
}

export async function a_ticket_of_another_account_waits_beside_an_identity() {
  const drop = "who-beside";
  await campaign("c-beside", [{ drop, opens: 3_600 }]);
  await visit({}, async (page) => {
    // The desk is not open yet: it is known who it is, and there is no ticket that would name them.
    await page.goto(`${world.base}/d/${drop}#identity=${identity("beside")}`);
    await text(page, "尚未开始");
    await page.goto(signedIn(drop, "mallory"));
    await text(page, "此链接属于另一个账号");
    const person = () => page.evaluate(() => localStorage.getItem("claimrush:person"));
    assert.notEqual(await person(), '"mallory"');
    await letIn(page);
    await until("it is theirs", async () => (await person()) === '"mallory"');
    assert.equal(await page.evaluate(() => sessionStorage.getItem("claimrush:identity")), null, "of nobody else");
  });
}

/** Opens a drop in two tabs of one phone, in both by the identity of one account. Gives the tabs. */
async function inTwoTabs(page, context, drop, account) {
  const other = await context.newPage();
  for (const tab of [page, other]) {
    await tab.goto(`${world.base}/d/${drop}#identity=${identity(account)}`);
    await tone(tab, "go");
  }
  return [page, other];
}

const asksToSignIn = (page) => page.getByRole("heading", { name: "请先登录" }).waitFor();

export async function who_signs_out_in_one_tab_is_not_signed_in_again_by_another() {
  const drop = "who-tabs";
  await campaign("c-tabs", [{ drop }]);
  await visit({}, async (page, context) => {
    const [one, other] = await inTwoTabs(page, context, drop, "tabs");
    await signOut(one);
    for (const tab of [one, other]) await asksToSignIn(tab);
    await other.reload();
    for (const tab of [one, other]) {
      await asksToSignIn(tab);
      await until("nothing is kept", async () => (await keptBy(tab)).length === 0);
    }
  });
}

export async function who_signs_out_before_the_ticket_of_another_tab_comes_gets_none() {
  const drop = "who-tabs-late";
  await campaign("c-tabs-late", [{ drop }]);
  await visit({}, async (page, context) => {
    const other = await context.newPage();
    const late = await heldBack(other, `**/v1/drops/${drop}/tickets`);
    await other.goto(`${world.base}/d/${drop}#identity=${identity("late")}`);
    await late.asked();
    await page.goto(`${world.base}/vouchers`);
    // The tab that waits has no ticket that would name anybody: it is known by its account alone.
    await page.evaluate(() => localStorage.removeItem("claimrush:account"));
    // A browser takes a moment to tell its tabs of each other.
    await until("the other tab knows", () => other.evaluate(() => localStorage.getItem("claimrush:account") === null));
    await late.letGo();
    await asksToSignIn(other);
    assert.deepEqual(await keptBy(other), []);
  });
}

export async function somebody_else_in_one_tab_is_not_signed_out_by_another() {
  const [drop, next] = ["who-tabs-else", "who-tabs-next"];
  await campaign("c-tabs-else", [{ drop }, { drop: next }]);
  await visit({}, async (page, context) => {
    const [one, other] = await inTwoTabs(page, context, drop, "first");
    await one.goto(signedIn(drop, "second"));
    await letIn(one);
    await tone(one, "go");
    // With the identity of the one before the other tab would get a ticket here, and forget the second one's.
    await other.goto(`${world.base}/d/${next}`);
    await asksToSignIn(other);
    assert.equal(await one.evaluate(() => localStorage.getItem("claimrush:person")), '"second"');
  });
}

export async function a_page_that_was_put_aside_shows_nothing_of_who_has_left() {
  const drop = "who-aside";
  await campaign("c-aside", [{ drop }]);
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, "aside"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    await button(page).tap();
    await page.locator(".wallet .code").waitFor();
    // As if somebody else had come by the sponsor's sign-in, and then gone back twice: the browser shows the page as it was.
    await page.evaluate(() => {
      for (const name of ["tickets", "claims", "person", "attempts"]) localStorage.removeItem(`claimrush:${name}`);
      window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    });
    await text(page, "这里还没有券");
    assert.equal(await page.locator(".wallet .code").count(), 0);
  });
}

export async function anybody_is_anybody_in_the_demo() {
  await visit({ base: world.demo_base }, async (page) => {
    await page.goto(`${world.demo_base}/d/demo-drop`);
    await page.getByRole("heading", { name: "请先登录" }).waitFor();
    await page.getByLabel("演示：您想成为谁？").fill("7");
    await page.getByRole("button", { name: "成为此人" }).tap();
    await tone(page, "go");
    await shot(page, "demo-zh");
    await button(page).tap();
    await text(page, "领取成功");
    await page.getByLabel("演示：您想成为谁？").fill("8");
    await page.getByRole("button", { name: "成为此人" }).tap();
    await tone(page, "go");
    await page.getByLabel("演示：您想成为谁？").fill("7");
    await page.keyboard.press("Enter");
    // Person 7 is given the same claim, not another one.
    await text(page, "您已经领到了");
  });
}
