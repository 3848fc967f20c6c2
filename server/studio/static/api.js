// Client of the HTTP API. Paths are relative to the page, which may lie below a path of a proxy.
import { texts } from "./texts.js";

const KEY = "palimpsest.key";
const LONGEST_KEY = 4096; // well below what servers and proxies take as a header

/** An answer of 400 or more, or none at all (`code` "unreachable"). */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "unreachable", param = null, after = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, param, after });
  }

  /** True if the server was not there to answer: it is down, or starting. */
  get isAway() {
    return [0, 502, 504].includes(this.status) || this.code === "loading";
  }

  /** True if the same request may succeed soon. */
  get passes() {
    return this.isAway || this.status === 503;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (secret) => sessionStorage.setItem(KEY, secret),
  forget: () => sessionStorage.removeItem(KEY),
};

/** True if a key can be sent: no server knows one that cannot, or answers one that is too long. */
export function isSendable(secret) {
  try {
    return secret.length <= LONGEST_KEY && !!new Headers({ Authorization: `Bearer ${secret}` });
  } catch {
    return false;
  }
}

/** Return what a person is told of an error: the page's own text if it has one, else the API's. */
export function messageOf({ message, code, param }) {
  const own = texts.told[code];
  return (typeof own === "string" ? own : own?.[param ?? ""]) ?? message;
}

let onRefused = () => {};
/** Have a function called when a key is missing, or is refused. */
export const whenRefused = (listener) => (onRefused = listener);

let onAway = () => {};
/** Have a function called when the server is not there to answer a request. */
export const whenAway = (listener) => (onAway = listener);

/** Return the address of a path of the API as a program would call it. */
export const address = (path) => new URL(path, document.baseURI).href;

/** Return a path of the API, with the values in the template encoded; a tag of templates. */
export const api = (parts, ...values) =>
  String.raw({ raw: parts }, ...values.map((one) => encodeURIComponent(one)));

/**
 * Send a request, and return the answer. Throw ApiError if it is an error.
 *
 * The answer to a key that is not in use any more is nobody's: an AbortError is thrown for it.
 */
export async function request(method, path, { body, query, signal, quiet } = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of [value].flat()) if (one != null) url.searchParams.append(name, one);
  }
  const headers = {};
  const asking = key.get();
  if (asking) headers.Authorization = `Bearer ${asking}`;
  if (body !== undefined && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(url, { method, headers, body, signal, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const away = new ApiError(texts.errors.unreachable);
    onAway(away);
    throw away;
  }
  if (key.get() !== asking) throw new DOMException(texts.errors.anotherKey, "AbortError");
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  const found = said?.error ?? {};
  const { code, param } = found;
  const error = new ApiError(messageOf(found) ?? texts.errors.status(answer.status), {
    status: answer.status,
    code: code ?? "error",
    param: param ?? null,
    after: Number(answer.headers.get("retry-after") ?? 0),
  });
  if (error.status === 401 && !quiet) onRefused(error);
  if (error.isAway) onAway(error);
  throw error;
}

const json = async (...args) => (await request(...args)).json();

export const get = (path, query, options) => json("GET", path, { query, ...options });
export const post = (path, body, options) => json("POST", path, { body, ...options });
export const put = (path, body) => json("PUT", path, { body });
export const remove = (path, query) => json("DELETE", path, { query });

/** Return all pages of a list, as one. */
export async function all(path, most = 1000) {
  const found = [];
  for (let after; found.length < most; ) {
    const page = await get(path, { limit: 100, after });
    found.push(...page.data);
    if (!page.has_more) break;
    after = page.last_id;
  }
  return found;
}

/** Fetch a file with the key, and return it as a blob. */
export const blob = async (path, query, signal) =>
  (await request("GET", path, { query, signal })).blob();
