// Who the page is used by: what the sponsor's platform handed over, the tickets that came of it, and the claims that were made.
// A ticket is good for one drop and for hours, and lies where it survives a restart of the browser; an identity is worth more, and
// lives as long as the tab.

import { clock } from "./clock.js";
import { keep, recall } from "./store.js";

/** What a ticket says, as far as it can be read; nothing of it is believed but by the service. */
function read(token) {
  try {
    const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/**
 * Takes what stands in the address behind "#", and takes it out of the address. Gives the drop that it is for. Anybody can write a
 * link: one of somebody else signs nobody out, but waits until whoever is signed in has said so.
 */
export function takeOver() {
  const handed = new URLSearchParams(location.hash.slice(1));
  const said = handed.get("ticket");
  const [ticket, account] = [read(said)?.drop ? said : null, handed.get("identity")];
  if (!said && !account) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  const asks = isSomebodyElse(ticket, account);
  keep("stranger", asks ? { ticket, account } : null, "tab");
  return asks ? null : take(ticket, account);
}

/** Whether this may be of somebody else than who is signed in. */
function isSomebodyElse(ticket, account) {
  const [name, known] = [person(), recall("account")];
  if (account && (name || known) && accountOf(account) !== known) return true;
  return Boolean(ticket) && (name ? read(ticket).sub !== name : Boolean(known) && !account);
}

/** Whether a link of somebody else waits for an answer. */
export const isStrangerHere = () => recall("stranger", "tab") !== null;

/** Answers it: whether the phone is theirs now, and nobody else's. Gives the drop of their ticket. */
export function answerStranger(letIn) {
  const stranger = recall("stranger", "tab");
  if (!letIn || !stranger) {
    keep("stranger", null, "tab");
    return null;
  }
  signOut();
  return take(stranger.ticket, stranger.account);
}

function take(ticket, account) {
  if (account) {
    keep("account", accountOf(account));
    keep("identity", account, "tab");
  }
  return ticket ? putTicket(ticket) : null;
}

/** How often the phone changed hands while the page was open. */
let handOvers = 0;

/** Notes who holds the phone before a call; what it gives says behind the call whether they still do. Else nothing of the answer is kept. */
export function holder() {
  const [before, name, account] = [handOvers, person(), recall("account")];
  // In another tab somebody may have left as well, also before there was a ticket that names them.
  return () => before === handOvers && (!name || name === person()) && account === recall("account");
}

/** Keeps a ticket. Gives its drop. */
export function putTicket(ticket, person) {
  const said = read(ticket);
  if (!said?.drop) return null;
  const name = person ?? said.sub ?? "";
  if (recall("person") !== name) {
    // Somebody else holds the phone now: nothing of the one before is shown.
    forgetPerson();
    keep("person", name);
  }
  const tickets = recall("tickets") ?? {};
  keep("tickets", { ...tickets, [said.drop]: { ticket, until: (said.exp ?? 0) * 1_000 } });
  return said.drop;
}

/** The ticket for a drop, if it is still good. */
export function ticketFor(drop) {
  const kept = (recall("tickets") ?? {})[drop];
  return kept && kept.until > clock.now() ? kept.ticket : null;
}

/** Whether there was a ticket for a drop that is not good any more. */
export const hadTicket = (drop) => Boolean((recall("tickets") ?? {})[drop]);

/** Throws a ticket away that the service did not believe. */
export function dropTicket(drop) {
  const { [drop]: _gone, ...rest } = recall("tickets") ?? {};
  keep("tickets", rest);
}

/** The identity that was handed over, unless its account has left this phone in another tab, or made room for another one. */
export function identity() {
  const token = recall("identity", "tab");
  if (!token || accountOf(token) === recall("account")) return token;
  dropIdentity();
  return null;
}

/** Throws the identity away that the service did not believe. */
export const dropIdentity = () => keep("identity", null, "tab");

/** Who it is, as the tickets name them; empty for nobody. */
export const person = () => recall("person") ?? "";

/** The name that this phone chose for itself: tickets of the desk are bound to it. */
export function device() {
  let name = recall("device");
  if (!name) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    keep("device", name);
  }
  return name;
}

/** What was claimed on this phone, newest first. */
export const claims = () => recall("claims") ?? [];

/** Whether a claim still gives something: a hold that ended, or a unit that went back, does not. */
export const isTheirs = (claim) => !["returned", "cancelled", "lapsed"].includes(claim.status);

/** Whether a unit is kept until it is paid for. */
export const isHeld = (claim) => claim.status === "held";

/** Keeps claims as the service told them, with what their drop says. */
export function putClaims(fresh, terms) {
  const before = claims();
  const known = before.filter((old) => !fresh.some((claim) => claim.claim_id === old.claim_id));
  const termsOf = (claim) => terms ?? before.find((old) => old.claim_id === claim.claim_id)?.terms;
  const all = [...fresh.map((claim) => ({ ...claim, terms: termsOf(claim) })), ...known];
  keep("claims", all.sort((a, b) => (a.claimed_at < b.claimed_at ? 1 : -1)).slice(0, 100));
}

/** Whose account an identity is of. */
const accountOf = (token) => printOf(JSON.stringify([read(token)?.iss, read(token)?.sub]));

/** Tells two accounts apart without a note of which they are. */
function printOf(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (const character of text) {
    a = Math.imul(a ^ character.codePointAt(0), 0x9e3779b1);
    b = Math.imul(b ^ character.codePointAt(0), 0x5f356495);
  }
  return ((a ^ (a >>> 16)) >>> 0).toString(36) + ((b ^ (b >>> 13)) >>> 0).toString(36);
}

function forgetPerson() {
  handOvers += 1;
  for (const name of ["tickets", "claims", "person", "attempts"]) keep(name, null);
}

/** Leaves nothing of anybody on this phone, but for its language and its name. */
export function signOut() {
  forgetPerson();
  keep("account", null);
  keep("stranger", null, "tab");
  dropIdentity();
}
