// How the page looks, reads and weighs: languages, accessibility in light and dark, budgets.

import assert from "node:assert/strict";

import { accessible, button, call, campaign, held, identity, shot, signedIn, text, tone, visit, world } from "../world.mjs";

/** What may travel until somebody has a voucher and shows it, and how many files and calls the first view may take. */
const BYTES_MAX = 60 * 1024;
const FILES_MAX = 9;
/** The clock, the drop, the puzzle, the ticket, and what is held. */
const CALLS_MAX = 5;

/** Looks at a view in light and dark. */
async function inBoth(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${name}, ${colorScheme}`);
    await shot(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

async function allViews(options, tag) {
  const [drop, later] = [`look-${tag}`, `look-later-${tag}`];
  await campaign(`c-look-${tag}`, [
    { drop, name: "满100减25" },
    { drop: later, name: "满300减80", opens: 200_000, closes: 900_000 },
  ]);
  await visit({ ...options, reducedMotion: "reduce" }, async (page) => {
    await page.goto(`${world.base}/`);
    await page.locator(`a[href="/d/${later}"]`).waitFor();
    await inBoth(page, `home-${tag}`);
    await page.goto(signedIn(later, "look"));
    await tone(page, "ready");
    await inBoth(page, `scheduled-${tag}`);
    await page.goto(signedIn(drop, "look"));
    await tone(page, "go");
    await inBoth(page, `open-${tag}`);
    await button(page).click();
    await tone(page, "good");
    await inBoth(page, `claimed-${tag}`);
    await page.goto(`${world.base}/vouchers`);
    await page.locator(".show").first().click();
    await page.waitForFunction(painted);
    await inBoth(page, `vouchers-${tag}`);
    await page.goto(`${world.base}/d/nowhere`);
    await tone(page, "bad");
    await inBoth(page, `refused-${tag}`);
    if (options.wide) return;
    // No view is wider than the phone.
    for (const path of ["/", `/d/${drop}`, "/vouchers"]) {
      await page.setViewportSize({ width: 320, height: 640 });
      await page.goto(world.base + path);
      await page.locator("main h1").first().waitFor({ state: "attached" });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${path} is ${overflow} px too wide`);
    }
  });
}

export const every_view_on_a_phone_in_chinese = () => allViews({}, "zh");
export const every_view_on_a_wide_screen_in_english = () => allViews({ wide: true, locale: "en-US" }, "en-wide");

export async function a_language_is_chosen_and_kept() {
  const drop = "look-language";
  await campaign("c-language", [{ drop }]);
  await visit({ locale: "de-DE" }, async (page) => {
    await page.goto(signedIn(drop, "words"));
    await text(page, "Claim now");
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
    await page.getByLabel("Language").selectOption({ label: "中文" });
    await text(page, "立即领取");
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    await page.reload();
    await text(page, "立即领取");
    await page.getByLabel("语言").selectOption({ label: "English" });
    await text(page, "Claim now");
    assert.ok(await page.title().then((title) => title.endsWith("Vouchers")));
  });
}

/** How long there is to pay, by how long an item is held. */
const SPANS = [
  ["1s", "1 second", "1 秒"],
  ["2s", "2 seconds", "2 秒"],
  ["60s", "60 seconds", "60 秒"],
  ["90s", "90 seconds", "90 秒"],
  ["2m", "2 minutes", "2 分钟"],
  ["899s", "14 minutes", "14 分钟"],
  ["90m", "90 minutes", "90 分钟"],
  ["2h", "2 hours", "2 小时"],
  ["1d", "24 hours", "24 小时"],
  ["3d", "3 days", "3 天"],
];

export async function nobody_is_told_of_more_time_to_pay_than_there_is() {
  const drops = SPANS.map(([hold]) => ({ drop: `look-span-${hold}`, item: `hold_for = "${hold}"` }));
  await campaign("c-span", drops);
  for (const [locale, words] of [
    ["en-US", ([, english]) => `To be paid within ${english}`],
    ["zh-CN", ([, , chinese]) => `须在 ${chinese}内支付`],
  ]) {
    await visit({ locale }, async (page) => {
      await page.goto(`${world.base}/`);
      const said = ([hold]) => page.locator(`a[href="/d/look-span-${hold}"] li`).last();
      await said(SPANS[0]).waitFor();
      assert.deepEqual(await Promise.all(SPANS.map((one) => said(one).innerText())), SPANS.map(words));
    });
  }
}

export async function a_day_of_another_year_is_shown_with_its_year() {
  const [drop, soon] = ["look-year", "look-year-soon"];
  await campaign("c-year", [{ drop, closes: 400 * 86_400 }, { drop: soon }]);
  for (const locale of ["en-US", "zh-CN"]) {
    // Also for whom the day is another one: in New York it is yesterday for half of it.
    for (const timezoneId of ["Asia/Shanghai", "America/New_York"]) {
      await visit({ locale, timezoneId }, async (page) => {
        await page.goto(`${world.base}/d/${drop}`);
        const year = (ms) => new Intl.DateTimeFormat("en", { year: "numeric", timeZone: "Asia/Shanghai" }).format(ms);
        const ends = Date.parse((await call("GET", `/v1/drops/${drop}`)).data.closes_at);
        await page.locator(".when", { hasText: year(ends) }).waitFor();
        await page.goto(`${world.base}/d/${soon}`);
        const when = page.locator(".when", { hasText: /\d\d:\d\d/ });
        await when.waitFor();
        const now = (await call("GET", `/v1/drops/${soon}`)).data;
        if (year(Date.parse(now.closes_at)) === year(Date.now())) assert.doesNotMatch(await when.innerText(), /20\d\d/);
      });
    }
  }
}

export async function an_amount_of_any_length_is_shown_whole() {
  const faces = ["5.00", "88.80", "1000.00", "1234.50", "12345.50"];
  await campaign("c-amount", faces.map((face, at) => ({ drop: `look-amount-${at}`, stock: 1, face })));
  await visit({ viewport: { width: 320, height: 640 } }, async (page) => {
    await page.goto(`${world.base}/`);
    const shown = page.locator('a[href^="/d/look-amount-"] .face');
    await shown.nth(faces.length - 1).waitFor();
    const widths = await shown.evaluateAll((all) =>
      all.map((face) => {
        const room = face.closest(".stub").getBoundingClientRect();
        const words = document.createRange();
        words.selectNodeContents(face);
        const { left, right } = words.getBoundingClientRect();
        return { amount: face.textContent, fits: left >= room.left + 4 && right <= room.right - 4 };
      }),
    );
    assert.deepEqual(widths.filter(({ fits }) => !fits), []);
    assert.ok(widths.some(({ amount }) => amount === "¥12,345.50"), JSON.stringify(widths));
  });
}

export async function the_head_breaks_no_word_on_a_narrow_phone() {
  const drop = "look-head";
  await campaign("c-head", [{ drop }]);
  for (const locale of ["zh-CN", "en-US"]) {
    await visit({ locale, viewport: { width: 320, height: 640 } }, async (page) => {
      await page.goto(signedIn(drop, `head-${locale}`));
      await tone(page, "go");
      await button(page).tap();
      await tone(page, "good");
      await page.locator(".number").waitFor();
      for (const words of [".mine-link span", ".brand"]) {
        const lines = await page.locator(words).evaluate((node) => {
          const range = document.createRange();
          range.selectNodeContents(node.lastChild);
          return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
        });
        assert.equal(lines, 1, `${words} in ${locale}`);
      }
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
      await shot(page, `head-${locale}`);
    });
  }
}

/** How light a colour is, from 0 to 255. */
const lightness = (node) => {
  const [red, green, blue] = getComputedStyle(node).color.match(/[\d.]+/g).map(Number);
  return 0.3 * red + 0.6 * green + 0.1 * blue;
};

export async function a_voucher_on_paper_can_be_read() {
  const drop = "look-paper";
  await campaign("c-paper", [{ drop, name: "满100减25" }]);
  for (const colorScheme of ["light", "dark"]) {
    await visit({ colorScheme }, async (page) => {
      await page.goto(signedIn(drop, `paper-${colorScheme}`));
      await tone(page, "go");
      await button(page).tap();
      await tone(page, "good");
      await page.goto(`${world.base}/vouchers`);
      await page.locator(".show").tap();
      await page.waitForFunction(painted);
      await page.emulateMedia({ media: "print", colorScheme });
      // Paper is white, and what stands behind a text is left out.
      for (const words of [".face", ".off", ".code", ".mine h2", ".chip", ".when"]) {
        const node = page.locator(words).first();
        assert.ok(await node.isVisible(), words);
        assert.ok((await node.evaluate(lightness)) < 100, `${words} is too light for paper`);
      }
      // What can be tapped alone, or is good for seconds, is not there.
      for (const gone of [".show", "img.qr", "select", ".back"]) assert.equal(await page.locator(gone).isVisible(), false, gone);
      await shot(page, `paper-${colorScheme}`);
    });
  }
}

export async function the_changing_code_changes() {
  const drop = "look-qr";
  await campaign("c-qr", [{ drop }]);
  await visit({}, async (page) => {
    await page.goto(signedIn(drop, "qr"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    // The first answer asks for the next one soon; the service's own lasts half a minute.
    let asked = 0;
    await page.route("**/qr", async (route) => {
      asked += 1;
      const answer = await route.fetch();
      const body = await answer.json();
      return route.fulfill({ json: asked === 1 ? { ...body, refresh_after_ms: 1_000 } : body });
    });
    await button(page).tap();
    await page.locator(".show").tap();
    const seen = (await page.waitForFunction(() => document.querySelector("img.qr")?.src.length > 100 && document.querySelector("img.qr").src)).toString();
    await page.waitForFunction((old) => document.querySelector("img.qr").src !== old, seen);
    assert.ok(asked >= 2);
    // Without the network there is the code itself.
    await page.unroute("**/qr");
    await page.route("**/v1/**", (route) => route.abort());
    await page.locator(".show").tap();
    await page.locator(".show").tap();
    await text(page, "没有网络，暂时无法显示动态码");
    assert.ok(await page.locator(".code").isVisible());
    await shot(page, "vouchers-offline-zh");
  });
}

const painted = () => {
  const image = document.querySelector("img.qr");
  return image?.complete && image.naturalWidth > 0;
};

async function qrAlone(words, options, tag) {
  const drop = `look-qr-alone-${tag}`;
  const apply = (more) => campaign(`c-qr-alone-${tag}`, [{ drop, name: "满100减25" }], more);
  await apply('redemption = { code = "qr" }');
  await visit({ ...options, reducedMotion: "reduce" }, async (page) => {
    await page.goto(signedIn(drop, "photographed"));
    await tone(page, "go");
    await button(page).tap();
    await tone(page, "good");
    await text(page, words.done);
    const [{ voucher }] = await held(drop, "photographed");
    const grouped = voucher.replace(/[^0-9A-Za-z]/g, "").match(/.{1,4}/g).join(" ");
    const offersNone = async () => {
      await text(page, words.only);
      assert.equal(await page.locator(".code").isVisible(), false);
      const html = await page.content();
      assert.ok(!html.includes(grouped) && !html.includes(voucher));
    };
    // Also before the voucher itself was looked at: the drop has said it.
    const looks = (url) => /\/v1\/vouchers\/[^/]+$/.test(url.pathname);
    await page.route(looks, (route) => route.abort());
    await button(page).tap();
    await offersNone();
    await page.unroute(looks);
    await page.reload();
    await offersNone();
    await page.getByRole("button", { name: words.show }).tap();
    await page.waitForFunction(painted);
    await offersNone();
    await inBoth(page, `qr-alone-${tag}`);
    await page.setViewportSize({ width: 320, height: 640 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    // The campaign takes codes again: there it is.
    await apply("");
    await page.reload();
    await page.locator(".code", { hasText: grouped }).waitFor();
    assert.equal(await page.locator(".only").isVisible(), false);
  });
}

export const where_qr_codes_alone_are_taken_no_other_is_shown = () =>
  qrAlone({ done: "付款时出示动态二维码", only: "本券仅凭动态二维码核销", show: "付款时出示二维码" }, {}, "zh");

export const where_qr_codes_alone_are_taken_no_other_is_shown_in_english = () => {
  const words = { done: "Show its changing QR code when you pay", only: "by its changing QR code alone", show: "Show the QR code at the till" };
  return qrAlone(words, { locale: "en-US" }, "en");
};

export async function the_whole_way_weighs_little() {
  const drop = "look-weight";
  await campaign("c-weight", [{ drop }]);
  const script = `
    window.shifts = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
    }).observe({ type: "layout-shift", buffered: true });`;
  await visit({ script }, async (page, context) => {
    const network = await context.newCDPSession(page);
    await network.send("Network.enable");
    const sizes = new Map();
    const urls = new Map();
    network.on("Network.requestWillBeSent", ({ requestId, request }) => urls.set(requestId, request.url));
    network.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength));
    await page.goto(`${world.base}/d/${drop}#identity=${identity("weight")}`);
    await tone(page, "go");
    const files = [...urls].filter(([, url]) => !url.includes("/v1/"));
    const calls = [...urls.values()].filter((url) => url.includes("/v1/"));
    // How the clock and the drop stand is asked for again on a slow machine, as time goes by; nothing else is.
    const again = calls.filter((url, at) => calls.indexOf(url) !== at && !/\/v1\/(time|drops\/[^/]*)$/.test(url));
    const within = files.length <= FILES_MAX && new Set(calls).size <= CALLS_MAX && again.length === 0;
    assert.ok(within, `${files.length} files and ${calls.join(" ")}`);
    const shifts = await page.evaluate(() => window.shifts);
    assert.ok(shifts < 0.1, `what was read moved by ${shifts}`);
    assert.ok((await page.locator("*").count()) < 300);
    await button(page).tap();
    await tone(page, "good");
    await button(page).tap();
    await page.locator(".show").tap();
    await page.waitForFunction(() => document.querySelector("img.qr")?.complete);
    const sum = (list) => list.reduce((all, id) => all + (sizes.get(id) ?? 0), 0);
    const [ofFiles, ofAll] = [sum(files.map(([id]) => id)), sum([...sizes.keys()])];
    console.log(`# ${files.length} files, ${ofFiles} bytes; ${urls.size} requests in all, ${ofAll} bytes`);
    assert.ok(ofAll > 10_000 && ofAll <= BYTES_MAX, `${ofAll} bytes`);
  });
}
