// A receiver of ComfyUI Gateway's webhooks, to copy: Node.js 20 or newer, nothing to install.
//
//     WEBHOOK_SECRET=… node webhook_receiver.mjs        listens on port 8000 (PORT)
//
// Behind a proxy that does TLS. What it does with a job's end is `handle`; the rest can stay as it is.
// With Express: express.raw({ type: "application/json" }) gives the body as it came, which is what is signed.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const MAX_BODY_BYTES = 100_000; // webhooks have 20,000 at most
const MAX_AGE_SECONDS = 5 * 60;
const KEPT_IDS = 100_000; // an id can come back for as long as it is retried: keep them in your database instead

const secret = process.env.WEBHOOK_SECRET;
if (!secret) throw new Error("WEBHOOK_SECRET is not set");
const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);
const seenIds = new Set();
const idsInWork = new Set();

// Do what is to be done, quickly: the answer is waited for no longer than 10 seconds.
async function handle(event) {
  console.log(event.event, event.jobId);
  for (const output of event.result?.outputs ?? []) console.log("  ", output.filename, output.downloadUrl);
}

// Check the signature over id, time and the body as it came, and that it is not an old one.
function isSigned(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const sentAt = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > MAX_AGE_SECONDS) return false;
  const expected = createHmac("sha256", key).update(`${id}.${sentAt}.`).update(body).digest();
  // While the secret is replaced there are two, with a space between.
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return signature.startsWith("v1,") && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

async function bodyOf(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > MAX_BODY_BYTES) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

// The status to answer with: 204 for what is taken, and for what was taken before.
async function take(request) {
  if (request.method !== "POST") return 405;
  const body = await bodyOf(request);
  if (body === null) return 413;
  if (!isSigned(request.headers, body)) return 401;
  const id = request.headers["webhook-id"];
  if (seenIds.has(id)) return 204;
  if (idsInWork.has(id)) return 503; // it came again before it was done with: should that fail, it has to come once more
  idsInWork.add(id);
  try {
    await handle(JSON.parse(body)); // should it fail, the id is not remembered and the webhook comes again
    seenIds.add(id);
    if (seenIds.size > KEPT_IDS) seenIds.delete(seenIds.values().next().value);
  } finally {
    idsInWork.delete(id);
  }
  return 204;
}

const server = createServer((request, response) => {
  take(request)
    .catch((error) => {
      console.error(error);
      return 500;
    })
    .then((status) => response.writeHead(status, { connection: "close" }).end());
});
server.listen(Number(process.env.PORT ?? 8000), () => console.log("listening on port", server.address().port));
