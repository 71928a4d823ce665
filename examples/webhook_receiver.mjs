// A receiver of ComfyUI Gateway's webhooks, to copy. It needs Node.js 20 or newer, and no packages.
//
//     WEBHOOK_SECRET=… node webhook_receiver.mjs        listens on port 8000 (PORT)
//
// Run it behind a proxy that terminates TLS. Change `handle` to process a webhook; the rest can stay as it is.
// With Express: express.raw({ type: "application/json" }) gives the raw body, which is what is signed.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const MAX_BODY_BYTES = 100_000; // the gateway sends at most 20,000
const MAX_AGE_SECONDS = 5 * 60;
const MAX_STORED_IDS = 100_000; // a webhook can repeat for about a day: store the ids in your database instead

const secret = process.env.WEBHOOK_SECRET;
if (!secret) throw new Error("WEBHOOK_SECRET is not set");
const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);
const seenIds = new Set();
const idsInProgress = new Set();

// Process a webhook. Be quick: the gateway waits at most 10 seconds for the response.
async function handle(event) {
  console.log(event.event, event.jobId);
  for (const output of event.result?.outputs ?? []) console.log("  ", output.filename, output.downloadUrl);
}

// Verify the signature over id, timestamp and raw body, and that the timestamp is recent.
function isSigned(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const sentAt = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > MAX_AGE_SECONDS) return false;
  const expected = createHmac("sha256", key).update(`${id}.${sentAt}.`).update(body).digest();
  // During a rotation of the secret there are two signatures, separated by a space.
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return signature.startsWith("v1,") && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

async function readBody(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > MAX_BODY_BYTES) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

// Return the status of the response: 204 for new webhooks, and for those that were already processed.
async function statusFor(request) {
  if (request.method !== "POST") return 405;
  const body = await readBody(request);
  if (body === null) return 413;
  if (!isSigned(request.headers, body)) return 401;
  const id = request.headers["webhook-id"];
  if (seenIds.has(id)) return 204;
  if (idsInProgress.has(id)) return 503; // a repeat while the first is in progress: if that fails, it must be sent again
  idsInProgress.add(id);
  try {
    await handle(JSON.parse(body)); // if it fails, the id is not stored, so the webhook is retried
    seenIds.add(id);
    if (seenIds.size > MAX_STORED_IDS) seenIds.delete(seenIds.values().next().value);
  } finally {
    idsInProgress.delete(id);
  }
  return 204;
}

const server = createServer((request, response) => {
  statusFor(request)
    .catch((error) => {
      console.error(error);
      return 500;
    })
    .then((status) => response.writeHead(status, { connection: "close" }).end());
});
server.listen(Number(process.env.PORT ?? 8000), () => console.log("listening on port", server.address().port));
