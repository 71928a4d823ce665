// Runs an Edge Function under Node.js: Deno is not to be had here, and of it the function uses two things only.
//
//     GATEWAY=… API_KEY=… node deno.mjs index.ts

import assert from "node:assert/strict";
import { resolve } from "node:path";

let handler;
globalThis.Deno = { env: { get: (name) => process.env[name] }, serve: (given) => (handler = given) };
await import(resolve(process.argv[2]));

const post = (body) => handler(new Request("http://function", { method: "POST", body: JSON.stringify(body) }));
const made = await post({ prompt: "a paper boat" });
assert.equal(made.status, 200);
const picture = await fetch((await made.json()).url);
assert.equal(picture.headers.get("content-type"), "image/png");
assert.equal((await post({ jobId: "nobody's" })).status, 502);
assert.equal((await post({})).status, 400);
