// What waits for an answer: "Loading", then the answer, or the problem in words and a way to try again.

import { el, tell } from "./elements.js";

// Fill `place` with what `draw` makes of the answer of `asking`, a function that asks.
export async function load(place, asking, draw, { signal, missing } = {}) {
  place.setAttribute("aria-busy", "true");
  place.replaceChildren(el("p", { class: "note" }, "Loading…"));
  try {
    const answer = await asking();
    if (!signal?.aborted) place.replaceChildren(...[draw(answer)].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError" || signal?.aborted) return;
    if (error.status === 401) {
      window.dispatchEvent(new CustomEvent("signed-out", { detail: "You are signed out: the credential is no longer valid." }));
      return;
    }
    if (error.status === 404 && missing) {
      place.replaceChildren(el("p", { class: "note" }, missing));
      return;
    }
    if (error.status === undefined) console.error(error);
    const again = el("button", { type: "button", onclick: () => load(place, asking, draw, { signal, missing }) }, "Try again");
    place.replaceChildren(problem(error), el("p", {}, again));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

// A problem as it is told: its title, its detail, the values that were refused.
export function problem(error) {
  const wrong = (error.errors ?? []).map((each) => el("li", {}, el("b", {}, each.where), `: ${each.message}`));
  const title = error.title ?? "Something went wrong";
  const detail = error.detail ?? "This page could not show what was answered.";
  tell(`${title}. ${detail}`);
  return el("div", { class: "box bad", role: "group", "aria-label": "What went wrong" },
    el("p", {}, el("b", {}, title)), el("p", {}, detail), wrong.length > 0 && el("ul", {}, wrong),
    error.requestId && el("p", { class: "small" }, `Request ${error.requestId}`));
}
