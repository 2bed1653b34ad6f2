// The smoke scenario for k6 (https://k6.io), for teams that stay with it: see loadtest/scenarios/smoke.toml.
//
//   claimrush ticket mint --drop caiyun-50-10 --count 1500 --prefix smoke- --out tickets.txt
//   k6 run -e TICKETS=$PWD/tickets.txt loadtest/scenarios/smoke.k6.js
//
// TARGET, DROP, RATE (people a second) and DURATION (seconds) can be set in the same way. k6 measures from the send:
// when its virtual users run out, dropped_iterations rises and the waiting is in no latency, so both are thresholds.

import http from 'k6/http';
import { check } from 'k6';
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';

const target = __ENV.TARGET || 'http://127.0.0.1:8080';
const drop = __ENV.DROP || 'caiyun-50-10';
const rate = Number(__ENV.RATE || 300);
const seconds = Number(__ENV.DURATION || 5);

// One ticket a line; read once, shared by all virtual users.
const tickets = new SharedArray('tickets', () =>
  open(__ENV.TICKETS || 'tickets.txt').split('\n').filter((line) => line !== ''),
);

// Refusals are answers, too: only what is neither a claim nor a refusal by cause counts as failed.
http.setResponseCallback(http.expectedStatuses(200, 201, 409, 410, 425, 429));

export const options = {
  scenarios: {
    smoke: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${seconds}s`,
      preAllocatedVUs: 50,
      maxVUs: 500,
    },
  },
  thresholds: {
    http_req_duration: ['p(99)<50'],
    http_req_failed: ['rate==0'],
    dropped_iterations: ['count==0'],
    checks: ['rate>0.99'],
  },
};

export default function claim() {
  const ticket = tickets[exec.scenario.iterationInTest % tickets.length];
  const answer = http.post(`${target}/v1/drops/${drop}/claims`, null, {
    headers: { Authorization: `Bearer ${ticket}` },
    tags: { name: 'claim' },
  });
  check(answer, { 'a claim': (answer) => answer.status === 201 || answer.status === 200 });
}
