// Runs an Edge Function under Node.js, with replacements for the two functions of Deno that it uses.
//
//     GATEWAY=… API_KEY=… node deno.mjs index.ts

import assert from "node:assert/strict";
import { resolve } from "node:path";

let handler;
globalThis.Deno = { env: { get: (name) => process.env[name] }, serve: (given) => (handler = given) };
await import(resolve(process.argv[2]));

const post = (body) => handler(new Request("http://function", { method: "POST", body: JSON.stringify(body) }));
const response = await post({ prompt: "a paper boat" });
assert.equal(response.status, 200);
const image = await fetch((await response.json()).url);
assert.equal(image.headers.get("content-type"), "image/png");
assert.equal((await post({ jobId: "nobody's" })).status, 502);
assert.equal((await post({})).status, 400);
