// Asking the server, and what it says when it refuses.

const API = new URL("../api/v1/", location.href.split("#")[0]);

export class Refusal extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

export function address(path, query = {}) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

/** GET, as JSON. */
export async function get(path, query, { signal } = {}) {
  return answer(await reach(address(path, query), { signal, headers: { Accept: "application/json" } }));
}

/** POST, PATCH, DELETE … as JSON. */
export async function send(method, path, body, { query, headers = {} } = {}) {
  const content = body === undefined ? undefined : JSON.stringify(body);
  const type = content === undefined ? {} : { "Content-Type": "application/json" };
  return answer(await reach(address(path, query), { method, body: content, headers: { ...type, ...headers } }));
}

async function reach(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The server cannot be reached just now.");
  }
}

async function answer(response) {
  const text = await response.text();
  let content = null;
  try { content = text ? JSON.parse(text) : null; } catch { /* a proxy's own page */ }
  if (response.ok) return content;
  if (response.status === 401) throw new Refusal(401, "Your login is over. Log in to Airflow again, then come back.");
  throw new Refusal(response.status, content?.detail ?? `The server answered ${response.status} ${response.statusText}.`);
}
