// The claim page in a browser, against the real service. Started by `tests/page/browser.rs`, which says in PAGE_WORLD where things are.
// PAGE_CASES names what is to be run, by a part of its name; all of it without.

import { test } from "node:test";

import { closeBrowser, openBrowser } from "./world.mjs";
import * as claiming from "./cases/claiming.mjs";
import * as held from "./cases/held.mjs";
import * as looks from "./cases/looks.mjs";
import * as refusals from "./cases/refusals.mjs";
import * as trouble from "./cases/trouble.mjs";
import * as unsure from "./cases/unsure.mjs";
import * as waiting from "./cases/waiting.mjs";
import * as who from "./cases/who.mjs";

const wanted = process.env.PAGE_CASES ?? "";

// Most of a case is waiting: several run at once.
await test("the claim page", { timeout: 600_000, concurrency: 3 }, async (all) => {
  await openBrowser();
  try {
    const running = [];
    for (const cases of [looks, claiming, held, waiting, trouble, unsure, refusals, who]) {
      for (const [name, story] of Object.entries(cases)) {
        const words = name.replaceAll("_", " ");
        if (words.includes(wanted)) running.push(all.test(words, story));
      }
    }
    await Promise.all(running);
  } finally {
    await closeBrowser();
  }
});
