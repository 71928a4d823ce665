// A Supabase Edge Function that makes a picture for a signed-in user.
//
//     supabase secrets set GATEWAY=https://… API_KEY=…        a user's key, which never leaves this function
//     supabase functions deploy make-image
//
// POST {"prompt": "…"} answers 200 {"url": …} when the picture is there within 25 seconds, or 202 {"jobId": …}:
// then ask again with POST {"jobId": …}.

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
  const answer = await fetch(gateway + path, {
    method: body ? "POST" : "GET",
    headers: { "X-API-Key": key!, "Content-Type": "application/json" },
    body: body ? JSON.stringify(body) : undefined,
    signal: AbortSignal.timeout(40_000),
  });
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status}: ${await answer.text()}`);
  return await answer.json();
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 2000;
}

Deno.serve(async (request: Request) => {
  const asked = await request.json().catch(() => null);
  try {
    let jobId = asked?.jobId;
    if (isText(asked?.prompt)) {
      jobId = (await call("/jobs", { workflowId: "icon_512", inputs: { prompt: asked.prompt } })).jobId;
    }
    if (!isText(jobId)) return Response.json({ error: "send a prompt, or a jobId" }, { status: 400 });
    // All users of this function share one key: a job's id is what says whose it is, so it is told to nobody else.
    const job = await call(`/jobs/${encodeURIComponent(jobId)}?wait=25`);
    if (job.status === "queued" || job.status === "running") return Response.json({ jobId }, { status: 202 });
    if (!job.outputs) return Response.json({ error: job.error?.message ?? job.status }, { status: 502 });
    return Response.json({ url: job.outputs[0].downloadUrl });
  } catch (error) {
    console.error(error); // what the gateway said is for the function's log, not for its callers
    return Response.json({ error: "no picture could be made" }, { status: 502 });
  }
});
