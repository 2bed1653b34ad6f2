// Who somebody is: handed over by a form, changed, signed out, and anybody in the demo.

import assert from "node:assert/strict";

import { button, campaign, identity, shot, signedIn, text, ticket, tone, visit, world } from "../world.mjs";

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
    await tone(page, "go");
    await page.goto(`${world.base}/vouchers`);
    await text(page, "这里还没有券");
    // The same by an identity, before there is any ticket.
    await page.goto(signedIn(drop, "one"));
    await tone(page, "good");
    await page.goto(`${world.base}/vouchers#identity=${identity("three")}`);
    await text(page, "这里还没有券");
    await shot(page, "vouchers-empty-zh");
    await page.getByRole("button", { name: "退出登录" }).tap();
    await page.goto(`${world.base}/d/${drop}`);
    await page.getByRole("heading", { name: "请先登录" }).waitFor();
    const kept = await page.evaluate(() => Object.keys(localStorage).concat(Object.keys(sessionStorage)).sort());
    assert.deepEqual(kept.filter((name) => !["claimrush:device", "claimrush:language"].includes(name)), []);
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
