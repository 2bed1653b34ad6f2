// The worker that solves challenges, beside the page, so that the page stays quick.

import { find } from "./sha256.js";

self.onmessage = ({ data }) => {
  const began = performance.now();
  const number = find(data.salt, data.challenge, data.maxnumber);
  self.postMessage({ number, took: Math.round(performance.now() - began) });
};
