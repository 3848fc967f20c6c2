// One stream of events for the whole page: the jobs that it follows, and where they are.
import { ApiError, request } from "./api.js";
import { Store } from "./store.js";

const MOST = 64; // of the API
const PENDING = ["queued", "in_progress"];
const PAUSE_MS = [500, 1000, 2000, 4000];

/** Jobs by id, as the API last told: videos and encoders. */
export const jobs = new Store({ byId: {}, connected: true });

export const isPending = (job) => PENDING.includes(job?.status);

let stream = null; // AbortController of the open one
let timer = 0;

/** Note the states of jobs, and follow those that are not done. */
export function follow(...found) {
  if (!found.length) return;
  const byId = { ...jobs.state.byId };
  for (const job of found) byId[job.id] = job;
  jobs.set({ byId });
  if (found.some(isPending)) open();
}

/** Forget jobs, which are deleted. */
export function drop(...ids) {
  const byId = { ...jobs.state.byId };
  for (const id of ids) delete byId[id];
  jobs.set({ byId });
}

/** Forget all, because another key is used from now on. */
export function dropAll() {
  stream?.abort();
  jobs.set({ byId: {}, connected: true });
}

function open(pause = 20) {
  clearTimeout(timer);
  timer = setTimeout(run, pause);
}

async function run(tries = 0) {
  stream?.abort();
  const own = (stream = new AbortController());
  const followed = Object.values(jobs.state.byId).filter(isPending).slice(0, MOST);
  if (!followed.length) return;
  const ids = (kind) => followed.filter((job) => job.object === kind).map((job) => job.id);
  try {
    const query = { video: ids("video"), encoder: ids("encoder") };
    const answer = await request("GET", "v1/events", { query, signal: own.signal });
    jobs.set({ connected: true });
    tries = 0;
    for await (const event of eventsOf(answer.body)) take(event);
  } catch (error) {
    if (own.signal.aborted) return;
    const isFull = error.status === 429; // another of the key's pages may end its stream
    if (error instanceof ApiError && !error.passes && !isFull) return;
    jobs.set({ connected: isFull });
  }
  if (own.signal.aborted) return;
  // It has ended: the rest of the jobs, or the server, which may be starting again.
  await new Promise((done) => setTimeout(done, PAUSE_MS[Math.min(tries, PAUSE_MS.length - 1)]));
  if (!own.signal.aborted) run(tries + 1);
}

function take({ name, data }) {
  if (name === "deleted") drop(data.id);
  else if (data?.id) jobs.set({ byId: { ...jobs.state.byId, [data.id]: data } });
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split(/\r?\n/).map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*: ?/, "")]),
      );
      if (fields.event) yield { name: fields.event, data: JSON.parse(fields.data || "null") };
    }
  }
}
