// A Supabase Edge Function that creates an image for a signed-in user.
//
//     supabase secrets set GATEWAY=https://… API_KEY=…        a key with the role `user`, which never leaves this function
//     supabase functions deploy make-image
//
// POST {"prompt": "…"} returns 200 {"url": …} if the image is ready within 25 seconds, or else 202 {"jobId": …}:
// then repeat POST {"jobId": …}.

const gateway = Deno.env.get("GATEWAY");
const key = Deno.env.get("API_KEY");
if (!gateway || !key) throw new Error("set GATEWAY and API_KEY");

interface Job {
  jobId: string;
  status: string;
  outputs: { downloadUrl: string }[] | null;
  error: { code: string; message: string } | null;
}

async function call(path: string, body?: unknown): Promise<Job> {
  const response = await fetch(gateway + path, {
    method: body ? "POST" : "GET",
    headers: { "X-API-Key": key!, "Content-Type": "application/json" },
    body: body ? JSON.stringify(body) : undefined,
    signal: AbortSignal.timeout(40_000),
  });
  if (!response.ok) throw new Error(`the gateway responded with ${response.status}: ${await response.text()}`);
  return await response.json();
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 2000;
}

Deno.serve(async (request: Request) => {
  const body = await request.json().catch(() => null);
  try {
    let jobId = body?.jobId;
    if (isText(body?.prompt)) {
      jobId = (await call("/jobs", { workflowId: "icon_512", inputs: { prompt: body.prompt } })).jobId;
    }
    if (!isText(jobId)) return Response.json({ error: "send a prompt, or a jobId" }, { status: 400 });
    // All users of this function share one key, so a job's id protects the job: it is returned to its user only.
    const job = await call(`/jobs/${encodeURIComponent(jobId)}?wait=25`);
    if (job.status === "queued" || job.status === "running") return Response.json({ jobId }, { status: 202 });
    if (!job.outputs) return Response.json({ error: job.error?.message ?? job.status }, { status: 502 });
    return Response.json({ url: job.outputs[0].downloadUrl });
  } catch (error) {
    console.error(error); // the gateway's message is for the function's log, not for its callers
    return Response.json({ error: "the image could not be created" }, { status: 502 });
  }
});
