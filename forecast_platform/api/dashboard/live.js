// What changes while it is looked at: asked for again when the API says that something has happened, and now and then.

import { el, newId } from "./elements.js";
import { load } from "./loading.js";
import { ask } from "./requests.js";

// Where nothing is heard, as of a server behind a proxy that holds streams back.
const PAUSE = 5_000, PAUSE_LISTENING = 30_000, BACK_AFTER = 2_000;

let listening = false;

// As `load`, and again until `over` says of an answer that nothing more will come. Who is reading in it stays there.
export function watch(place, asking, draw, { signal, over = () => false, missing }) {
  let shown = null, ended = false, timer = null;
  const noted = (answer) => {
    shown = JSON.stringify(answer);
    ended = over(answer);
    return draw(answer);
  };
  const again = async () => {
    clearTimeout(timer);
    if (signal.aborted) return;
    try {
      const answer = await asking();
      if (JSON.stringify(answer) !== shown && !signal.aborted) keepFocus(place, () => place.replaceChildren(...[noted(answer)].flat(Infinity).filter(Boolean)));
    } catch (error) {
      // What is shown stays as it is: the next time may work, and a credential that is gone is told by `load`.
      if (error.status === 401) return load(place, asking, noted, { signal });
    }
    next();
  };
  const next = () => {
    if (!ended && !signal.aborted) timer = setTimeout(again, listening ? PAUSE_LISTENING : PAUSE);
  };
  window.addEventListener("changed", again, { signal });
  load(place, asking, noted, { signal, missing }).then(next);
}

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";

function keepFocus(place, change) {
  const at = [...place.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  change();
  if (at >= 0) place.querySelectorAll(FOCUSABLE)[at]?.focus({ preventScroll: true });
}

// Say that something has changed, so that what is watched is asked for again at once.
export const changed = () => window.dispatchEvent(new Event("changed"));

// Hear of what happens for as long as the page is looked at: `changed` for all that watches, and each event to `heard`.
// A browser opens six connections to a server, for all its tabs together: one that is not looked at gives its own back.
export async function follow({ signal }, heard = () => {}) {
  let known = null;
  while (!signal.aborted) {
    await seen(signal);
    const ended = new AbortController();
    const end = () => (document.hidden || signal.aborted) && ended.abort();
    document.addEventListener("visibilitychange", end, { signal: ended.signal });
    signal.addEventListener("abort", end, { signal: ended.signal });
    try {
      const headers = known === null ? {} : { "Last-Event-ID": known };
      const response = await ask("list_events", { accept: "text/event-stream", headers, signal: ended.signal });
      for await (const event of eventsOf(response.body)) {
        known = event.id;
        changed();
        heard(event);
      }
    } catch (error) {
      if ([401, 403, 404].includes(error.status)) return;
    } finally {
      listening = false;
      ended.abort();
    }
    await new Promise((then) => setTimeout(then, BACK_AFTER));
  }
}

const seen = (signal) => new Promise((then) => {
  if (!document.hidden || signal.aborted) return then();
  const look = () => (!document.hidden || signal.aborted) && (then(), document.removeEventListener("visibilitychange", look));
  document.addEventListener("visibilitychange", look);
  signal.addEventListener("abort", look, { once: true });
});

// The events of a stream, as the standard of server-sent events has them.
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    listening = true;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const named = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (named("id")) yield { id: named("id"), kind: named("event"), data: JSON.parse(named("data") ?? "null") };
    }
  }
}

// Whether somebody says yes to a question.
export function confirmed(question, yes, no) {
  return new Promise((answered) => {
    const id = newId("question");
    const dialog = el("dialog", { "aria-labelledby": id },
      el("p", { id }, question),
      el("form", { method: "dialog", class: "tools" },
        el("button", { value: "no" }, no), el("button", { value: "yes", class: "first" }, yes)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      answered(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
