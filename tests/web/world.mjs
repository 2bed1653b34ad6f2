// What the cases share: the browser, visitors that notice whatever a page must not do, the service's commands, and tickets.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";

import { chromium } from "playwright-core";

/** Where the service is and what it believes, from the test that started it. */
export const world = JSON.parse(process.env.PAGE_WORLD);

/** How long anything may take on a machine that is busy with other tests. */
export const PATIENCE_MS = 45_000;

const FLAGS = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"];
const MORE_FLAGS = ["disable-component-update", "disable-sync", "disable-dev-shm-usage"];
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const WIDE = { viewport: { width: 1280, height: 800 } };

let browser = null;

export async function openBrowser() {
  const args = ["--headless", ...FLAGS.map((flag) => `--${flag}`), ...MORE_FLAGS.map((flag) => `--${flag}`)];
  browser = await chromium.launch({ executablePath: world.chromium, args, timeout: 4 * PATIENCE_MS });
}

export const closeBrowser = () => browser?.close();

/**
 * Somebody with a browser of their own. Fails at the end if the page wrote an error, broke its own policy, or reached for another
 * server; `mayFail(text, url)` allows what a case provokes.
 */
export async function visit(options, story) {
  const { wide, base = world.base, mayFail = () => false, script, ...more } = options;
  const context = await browser.newContext({ ...(wide ? WIDE : PHONE), locale: "zh-CN", ...more });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  if (script) await context.addInitScript(script);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(`exception: ${error.stack ?? error}`));
  page.on("console", (message) => {
    const { url } = message.location();
    // That a call was refused is told by the browser too; what the page makes of it is what the cases look at.
    const ofCalls = message.text().startsWith("Failed to load resource") && url.includes("/v1/");
    if (["error", "warning"].includes(message.type()) && !ofCalls && !mayFail(message.text(), url)) {
      faults.push(`console: ${message.text()} ${url}`);
    }
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("data:") && !mayFail("request", url)) faults.push(`request: ${url}`);
  });
  try {
    const result = await story(page, context);
    const violations = await page.evaluate(() => window.violations ?? []);
    assert.deepEqual([...faults, ...violations], []);
    return result;
  } catch (error) {
    await shot(page, `failed-${Date.now()}`).catch(() => {});
    error.message += `\n  the page: ${await tell(page)}\n  faults: ${faults.join("; ")}`;
    throw error;
  } finally {
    await context.close();
  }
}

/** What a page shows, for who reads of a failure. */
async function tell(page) {
  const read = () => ({ url: location.href, tone: document.querySelector("main")?.dataset.tone, text: document.body.innerText });
  return JSON.stringify(await page.evaluate(read).catch(() => "gone"));
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** No violation of any rule that axe knows. */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  assert.deepEqual(told, [], what);
}

/** Keeps a picture. */
export async function shot(page, name) {
  mkdirSync(world.shots, { recursive: true });
  await page.screenshot({ path: join(world.shots, `${name}.png`), animations: "disabled" });
}

/** Waits until the page of a drop is in a tone: "go", "good", "bad" … */
export const tone = (page, name) => page.locator(`main[data-tone="${name}"]`).waitFor();

/** Waits until a text stands on the page. */
export const text = (page, words) => page.getByText(words).first().waitFor();

/** The large button. */
export const button = (page) => page.locator("button.main");

/** Waits for a condition outside of the browser. */
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(Date.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const run = promisify(execFile);

let last = Promise.resolve();

/** A subcommand of the service on its data folder; one after the other, as two that change the catalogue at once are refused. */
export function claimrush(...args) {
  const next = last.then(() => run(world.bin, [...args, "--data", world.data], { timeout: 2 * PATIENCE_MS }));
  last = next.catch(() => {});
  return next;
}

/** Applies a campaign of its own with these drops; opening and closing in seconds from now. */
export async function campaign(id, drops, more = "") {
  const at = (seconds) => new Date(Date.now() + 1_000 * seconds).toISOString();
  const parts = drops.map(({ drop, name = "", stock = 100, limit = 1, opens = -60, closes = 7_200, eligibility = "", item, face = "25.00" }) =>
    [
      "[[drop]]",
      `id = "${drop}"`,
      `name = "${name || drop}"`,
      `opens_at = "${at(opens)}"`,
      `closes_at = "${at(closes)}"`,
      `stock = ${stock}`,
      `limit_per_person = ${limit}`,
      eligibility,
      item
        ? `item = { ${item} }`
        : `voucher = { face = "${face}", threshold = "${(4 * face).toFixed(2)}", valid_for = "7d", merchants = { region = ["云南"] } }`,
    ].join("\n"),
  );
  const head = `id = "${id}"\nname = "彩云消费券"\nsponsor = "云南省商务厅"\nbudget = "4000000.00 CNY"\ntime_zone = "Asia/Shanghai"\n${more}\n`;
  const file = join(world.work, `${id}.toml`);
  writeFileSync(file, head + parts.join("\n"));
  await claimrush("campaign", "apply", file);
  for (const { drop } of drops) await until(`${drop} is known`, async () => (await call("GET", `/v1/drops/${drop}`)).status === 200);
}

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function signed(kid, secret, claims) {
  const text = `${base64url({ alg: "HS256", typ: "JWT", kid })}.${base64url(claims)}`;
  return `${text}.${createHmac("sha256", Buffer.from(secret, "base64url")).update(text).digest("base64url")}`;
}

const nowS = () => Math.floor(Date.now() / 1_000);

/** A ticket such as the sponsor's own gateway signs. */
export function ticket(drop, person, more = {}) {
  const claims = { sub: person, drop, nbf: nowS() - 5, exp: nowS() + 3_600, jti: `${person}-${drop}`, ...more };
  return signed(world.ticket_kid, world.ticket_secret, claims);
}

/** An identity such as the sponsor's login signs. */
export function identity(account, more = {}) {
  return signed("hs", world.identity_secret, { sub: account, exp: nowS() + 3_600, region: "530102", ...more });
}

/** A call past the browser. */
export async function call(method, path, headers = {}, body = undefined) {
  const answer = await fetch(world.base + path, { method, headers, body });
  return { status: answer.status, data: await answer.json().catch(() => null) };
}

/** A claim past the browser. */
export const claim = (drop, person, key = "k") =>
  call("POST", `/v1/drops/${drop}/claims`, { authorization: `Bearer ${ticket(drop, person)}`, "idempotency-key": key });

/** The shop's payment service tells of a payment for a claim, as Standard Webhooks has it. */
export function pay(claimId, payment) {
  const body = JSON.stringify({ payment, amount: "4999.00" });
  const [id, at] = [`msg_${payment}`, String(nowS())];
  const secret = Buffer.from(world.payment_secret.replace("whsec_", ""), "base64");
  const mac = createHmac("sha256", secret).update(`${id}.${at}.${body}`).digest("base64");
  const headers = { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": `v1,${mac}`, "content-type": "application/json" };
  return call("POST", `/v1/claims/${claimId}/confirm`, headers, body);
}

/** What a person holds, by the service. A refusal says nothing of that: whoever asks often may have used up their limit. */
export async function held(drop, person) {
  const answer = await until("the service says what they hold", async () => {
    const said = await call("GET", `/v1/drops/${drop}/claims/mine`, { authorization: `Bearer ${ticket(drop, person)}` });
    return [200, 404].includes(said.status) && said;
  });
  return answer.status === 200 ? answer.data.claims : [];
}

/** The address of a drop for somebody whom the sponsor signed in with a ticket. */
export const signedIn = (drop, person, more) => `${world.base}/d/${drop}#ticket=${ticket(drop, person, more)}`;
