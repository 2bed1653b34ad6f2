// Calls to the service: every one ends with an answer or with status 0, and none with an exception.

import { settings } from "./settings.js";

const PATIENCE_MS = 12_000;

/** Nobody knows what became of the request. */
const LOST = { status: 0, data: null, code: "", retryMs: 0, requestId: "" };

/** Fetches and reads, and gives up after a while, also in the middle of a body; throws then. */
export async function bring(url, options, read) {
  const given_up = new AbortController();
  const timer = setTimeout(() => given_up.abort(), PATIENCE_MS);
  try {
    return await read(await fetch(url, { ...options, signal: given_up.signal }));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Calls. Gives `{status, data, code, retryMs, requestId}`; status 0 when no answer came, or not all of it, in which case nobody
 * knows what became of the request.
 */
export async function call(method, path, { ticket, device, key, body, fresh } = {}) {
  const headers = {};
  if (ticket) headers.authorization = `Bearer ${ticket}`;
  if (device) headers["device-id"] = device;
  if (key) headers["idempotency-key"] = key;
  if (body) headers["content-type"] = "application/json";
  const options = {
    method,
    headers,
    body: body && JSON.stringify(body),
    cache: fresh || method !== "GET" || ticket ? "no-store" : "default",
    credentials: "omit",
  };
  try {
    return await bring(settings.api + path, options, async (answer) => {
      const data = await answer.json().catch(() => null);
      // It broke off on its way, or somebody between here and the service answered in its place.
      if (answer.ok && data === null) return LOST;
      const seconds = Number(answer.headers.get("retry-after"));
      return {
        status: answer.status,
        data,
        code: data?.code ?? "",
        retryMs: seconds > 0 ? seconds * 1_000 : 0,
        requestId: data?.request_id ?? "",
      };
    });
  } catch {
    return LOST;
  }
}

/** The longest that a timer runs; one that is to run longer ends at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Waits; ends early when `signal` does, and then says `false`. */
export function wait(ms, signal) {
  return new Promise((resolve) => {
    const end = (whole) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cut);
      resolve(whole);
    };
    const cut = () => end(false);
    const timer = setTimeout(() => end(true), Math.min(Math.max(0, ms), TIMER_MS_MAX));
    if (signal?.aborted) cut();
    else signal?.addEventListener("abort", cut);
  });
}

/** Somewhere between the two, so that not everybody comes back at once. */
export function between(low, high) {
  return low + Math.random() * (high - low);
}
