/**
 * Failures as things with a code, a message and a remedy, wherever they arise.
 *
 * The gateway sends them as application/problem+json; the browser throws exceptions of its own.
 * Everyone else in the page sees only `Problem`.
 */

/** @import {Problem} from "./types.js" */

/** An error that carries its `Problem`. */
export class PageError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.message);
    this.name = "PageError";
    this.problem = problem;
  }
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
export function problemOf(error) {
  if (error instanceof PageError) return error.problem;
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "page",
    message: message || "Something in this page went wrong.",
    remedy: "Reload the page. If it happens again, the browser's console says more.",
    retry: "never",
  };
}

/** @type {Problem} */
export const SERVER_GONE = Object.freeze({
  code: "server_gone",
  message: "The server does not answer.",
  remedy: "Is it still running? Start it with `make run`. This page reconnects by itself.",
  retry: "same",
});

/** Problems that pass by themselves while one waits: a queue rather than a failure. */
const QUEUES = new Set(["no_runner_free", "runners_loading", "overloaded"]);

/** @param {Problem | null} problem */
export const isQueue = (problem) => problem !== null && QUEUES.has(problem.code);

/** @param {Problem | null} problem */
export const isLoading = (problem) => problem?.code === "runners_loading";

/** Statuses at which waiting can help even if the body does not say so. */
const PASSING = new Set([408, 425, 429, 502, 503, 504]);

/**
 * Reads what a refused request says about itself.
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemFrom(response) {
  /** @type {Record<string, unknown>} */
  let body = {};
  try {
    const parsed = JSON.parse(await response.text());
    if (parsed && typeof parsed === "object") body = parsed;
  } catch {
    // Not ours: a proxy's page, or nothing at all. The status has to do.
  }
  const said = (/** @type {string} */ key) => {
    const value = body[key];
    return typeof value === "string" && value ? value : null;
  };
  const retry = said("retry");
  return {
    code: said("code") ?? `http_${response.status}`,
    message:
      said("detail") ??
      said("title") ??
      `The server answered ${response.status} ${response.statusText}`.trim() + ".",
    remedy: said("remedy") ?? "Look at the node's log.",
    retry:
      retry === "never" || retry === "same" || retry === "elsewhere"
        ? retry
        : PASSING.has(response.status)
          ? "same"
          : "never",
  };
}

/**
 * `fetch` that throws nothing but `PageError`.
 * @param {string | URL} url
 * @param {RequestInit} [init]
 * @param {number} [timeout_ms]
 * @returns {Promise<Response>} A response whose status is 2xx.
 */
export async function ask(url, init = {}, timeout_ms = 10_000) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(timeout_ms), ...init });
  } catch {
    throw new PageError(SERVER_GONE); // refused, reset or too slow: the same to whoever waits
  }
  if (!response.ok) throw new PageError(await problemFrom(response));
  return response;
}

/**
 * @template T
 * @param {string} url
 * @returns {Promise<T>}
 */
export async function askJson(url) {
  const response = await ask(url);
  try {
    return await response.json();
  } catch {
    throw new PageError({
      code: "bad_answer",
      message: `${url} did not answer with JSON.`,
      remedy: "Is another program on this port? Reload the page.",
      retry: "same",
    });
  }
}
