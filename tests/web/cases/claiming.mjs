// From the countdown to the voucher.

import assert from "node:assert/strict";

import { button, campaign, call, held, identity, shot, signedIn, text, tone, until, visit, world } from "../world.mjs";

/** A phone whose clock is off by this much. */
const wrongBy = (ms) => `{
  const Right = Date;
  const off = ${ms};
  globalThis.Date = class extends Right {
    constructor(...given) { if (given.length) super(...given); else super(Right.now() + off); }
    static now() { return Right.now() + off; }
  };
}`;

/** What the countdown shows, in seconds. */
async function shown(page) {
  const digits = await page.locator(".countdown b").allTextContents();
  const [days, hours, minutes, seconds] = digits.map(Number);
  return ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
}

/** Looks at the countdown and at the service's clock at once: by how many seconds they differ from the release. */
async function deviation(page, opensAt) {
  const before = Date.now();
  const left = await shown(page);
  const between = (opensAt - (before + Date.now()) / 2) / 1_000;
  return Math.abs(left - between);
}

export async function from_the_countdown_to_the_voucher_also_with_a_wrong_clock() {
  const drop = "claim-countdown";
  await campaign("c-countdown", [{ drop, name: "满100减25", opens: 600 }]);
  const opensAt = Date.parse((await call("GET", `/v1/drops/${drop}`)).data.opens_at);
  const phone = (name, off) =>
    visit({ script: off ? wrongBy(off) : undefined }, async (page) => {
      const posts = [];
      page.on("request", (request) => request.method() === "POST" && posts.push(new URL(request.url()).pathname));
      await page.goto(`${world.base}/d/${drop}#identity=${identity(name)}`);
      assert.equal(new URL(page.url()).hash, "", "it is not left in the address");
      await tone(page, "ready");
      assert.deepEqual(posts, [`/v1/drops/${drop}/challenges`, `/v1/drops/${drop}/tickets`]);
      // A busy machine may show it late, once; a wrong one stays wrong.
      await until(`the countdown of ${name} is right`, async () => (await deviation(page, opensAt)) < 3);
      assert.equal(await button(page).getAttribute("aria-disabled"), "true");
      await button(page).click({ force: true });
      assert.equal(posts.length, 2, "nothing is sent before its time");
      if (!off) await shot(page, "countdown-ready-zh");
      // The release is moved forward: the page learns it as soon as it looks, as after a sleep.
      await allReady();
      await page.evaluate(() => window.dispatchEvent(new Event("online")));
      await tone(page, "go");
      if (!off) await shot(page, "open-zh");
      await button(page).tap();
      await tone(page, "good");
      await text(page, "领取成功");
      if (!off) await shot(page, "claimed-zh");
      await button(page).tap();
      await page.locator(".wallet .mine").waitFor();
      await text(page, "可使用");
      const code = await page.locator(".code").innerText();
      assert.match(code.replaceAll(" ", ""), /^[0-9A-Z]{20,}$/);
    });
  const phones = [
    ["right", 0],
    ["ahead", 600_000],
    ["behind", -600_000],
  ];
  let move;
  const moved = new Promise((resolve) => {
    move = resolve;
  });
  let ready = 0;
  const allReady = async () => {
    ready += 1;
    if (ready === phones.length) {
      await campaign("c-countdown", [{ drop, name: "满100减25", opens: 3 }]);
      move();
    }
    await moved;
  };
  await Promise.all(phones.map(([name, off]) => phone(name, off)));
}

export async function two_taps_are_one_claim() {
  const drop = "claim-twice";
  await campaign("c-twice", [{ drop, limit: 2 }]);
  await visit({}, async (page) => {
    const keys = [];
    page.on("request", (request) => {
      if (request.method() === "POST") keys.push(request.headers()["idempotency-key"]);
    });
    await page.goto(signedIn(drop, "twice"));
    await tone(page, "go");
    await button(page).evaluate((node) => {
      node.click();
      node.click();
    });
    await tone(page, "good");
    assert.equal(keys.length, 1);
    assert.equal((await held(drop, "twice")).length, 1);
    // A second wish is a second claim, under a key of its own, and the last.
    await page.getByRole("button", { name: "再领一份" }).tap();
    await page.locator(".number", { hasText: "2" }).waitFor();
    assert.equal((await held(drop, "twice")).length, 2);
    assert.equal(new Set(keys).size, 2);
    await page.getByRole("button", { name: "再领一份" }).waitFor({ state: "hidden" });
  });
}

export async function a_keyboard_and_reduced_motion_are_enough() {
  const drop = "claim-keyboard";
  await campaign("c-keyboard", [{ drop }]);
  await visit({ wide: true, locale: "en-US", reducedMotion: "reduce" }, async (page) => {
    await page.goto(signedIn(drop, "keys"));
    await tone(page, "go");
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    for (let tab = 0; tab < 12; tab += 1) {
      await page.keyboard.press("Tab");
      if (await button(page).evaluate((node) => node === document.activeElement)) break;
    }
    assert.ok(await button(page).evaluate((node) => node.matches(":focus-visible")));
    await shot(page, "keyboard-en-wide");
    await page.keyboard.press("Enter");
    await tone(page, "good");
    // Whoever does not see is led to the news.
    const focused = await page.evaluate(() => document.activeElement.textContent);
    assert.equal(focused, "It is yours");
    const spoken = await page.locator("[role=status]", { hasText: "It is yours" }).count();
    assert.equal(spoken, 1);
  });
}
