// Runs an exported n8n workflow as n8n does, with nodes of the kinds below, because n8n itself is too large to be a
// dependency. Expressions are JavaScript between {{ and }}, in parameters that start with "=".
//
//     GATEWAY=… node n8n.mjs WORKFLOW.json

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const { nodes, connections } = JSON.parse(await readFile(process.argv[2], "utf8"));
const byName = Object.fromEntries(nodes.map((node) => [node.name, node]));
const results = {}; // output of each node, by its name

function evaluated(value, $json) {
  if (typeof value !== "string" || !value.startsWith("=")) return value;
  const names = ["$json", "$", "$execution", "$workflow"];
  const values = [$json, (name) => ({ item: { json: results[name] } }), { id: "7" }, { id: "w" }];
  return value
    .slice(1)
    .replace(/\{\{(.*?)\}\}/gs, (_, code) => new Function(...names, `return ${code}`)(...values));
}

async function request(parameters, $json) {
  const url = new URL(evaluated(parameters.url, $json));
  for (const each of parameters.queryParameters?.parameters ?? []) url.searchParams.set(each.name, each.value);
  assert.equal(parameters.genericAuthType, "httpHeaderAuth");
  const headers = { "X-API-Key": process.env.API_KEY };
  for (const each of parameters.headerParameters?.parameters ?? []) headers[each.name] = evaluated(each.value, $json);
  const body = parameters.sendBody ? evaluated(parameters.jsonBody, $json) : undefined;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(url, { method: parameters.method, headers, body });
  assert.ok(response.ok, `${url}: ${response.status} ${response.ok ? "" : await response.text()}`);
  const isFile = parameters.options.response?.response.responseFormat === "file";
  return isFile ? { type: response.headers.get("content-type"), size: (await response.arrayBuffer()).byteLength } : response.json();
}

// For each kind of node, a function that returns its result and the number of the output that it uses.
const kinds = {
  manualTrigger: async () => [{}, 0],
  set: async ({ assignments }) => {
    const given = Object.fromEntries(assignments.assignments.map((each) => [each.name, each.value]));
    return [{ ...given, gateway: process.env.GATEWAY }, 0];
  },
  httpRequest: async (parameters, $json) => [await request(parameters, $json), 0],
  if: async ({ conditions }, $json) => {
    const held = conditions.conditions.map((each) => {
      assert.equal(each.operator.operation, "equals");
      return evaluated(each.leftValue, $json) === evaluated(each.rightValue, $json);
    });
    return [$json, (conditions.combinator === "or" ? held.some(Boolean) : held.every(Boolean)) ? 0 : 1];
  },
  stopAndError: async ({ errorMessage }, $json) => assert.fail(evaluated(errorMessage, $json)),
};

let node = nodes.find((each) => each.type.endsWith("Trigger"));
let $json = {};
while (node) {
  let output;
  [$json, output] = await kinds[node.type.replace("n8n-nodes-base.", "")](node.parameters, $json);
  results[node.name] = $json;
  node = byName[connections[node.name]?.main[output]?.[0].node];
}
assert.equal($json.type, "image/png");
assert.ok($json.size > 100);
