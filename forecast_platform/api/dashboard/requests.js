// Requests to the API: an endpoint by its name, answers as values, problems (RFC 9457) as errors that can be shown.

import { ENDPOINTS } from "./endpoints.js";
import { credential } from "./session.js";

// What went wrong, in the API's own words.
export class Problem extends Error {
  constructor(status, content = {}, retryAfter = null) {
    super(content.detail ?? "");
    this.status = status;
    this.title = content.title ?? "Something went wrong";
    this.detail = content.detail ?? `The server answered ${status}.`;
    this.errors = content.errors ?? [];
    this.requestId = content.request_id ?? null;
    this.retryAfter = Number(retryAfter ?? 1);
  }
}

const AWAY = { title: "No answer", detail: "The server could not be reached. Try again in a moment." };

// The answer to a request; its body where it is JSON, else the response itself.
// path and query: parameters by name; body: an object sent as JSON; file: a file sent as it is, of a type.
export async function ask(name, { path = {}, query = {}, body, file, type, accept, headers = {}, signal } = {}) {
  const response = await answered(name, { path, query, body, file, type, accept, headers, signal });
  return (response.headers.get("content-type") ?? "").startsWith("application/json") ? response.json() : response;
}

async function answered(name, { path, query, body, file, type, accept, headers, signal }) {
  const [method, template] = ENDPOINTS[name].split(" ");
  const sent = { ...headers, Accept: accept ?? "application/json" };
  if (credential()) sent.Authorization = `Bearer ${credential()}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  if (file !== undefined) sent["Content-Type"] = type;
  let response;
  try {
    response = await fetch(address(template, path, query), {
      method, headers: sent, signal, credentials: "omit", body: file ?? (body && JSON.stringify(body)),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, AWAY);
  }
  if (response.ok) return response;
  throw new Problem(response.status, await response.json().catch(() => ({})), response.headers.get("retry-after"));
}

export function address(template, path, query) {
  const filled = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name]));
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    const several = Array.isArray(value) ? value : [value];
    for (const each of several) if (each !== null && each !== undefined && each !== "") asked.append(name, each);
  }
  return asked.size ? `${filled}?${asked}` : filled;
}

// Save an answer as a file, as a browser saves a download.
export async function download(name, filename, options) {
  const response = await ask(name, { ...options, accept: "text/csv" });
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
