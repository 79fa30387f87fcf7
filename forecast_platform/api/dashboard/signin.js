// Signing in with an API key: it is tried, and kept for this tab only.

import { el, field, section } from "./elements.js";
import { problem } from "./loading.js";
import { ask } from "./requests.js";
import { forget, keep } from "./session.js";

// entered: what to do with what the API says of the one who has signed in; reason: why signing in is needed, if told.
export function signIn(entered, reason) {
  const key = el("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false", id: "key" });
  const button = el("button", { type: "submit", class: "first" }, "Sign in");
  const told = el("div", { role: "alert" });
  const form = el("form", { class: "fields", novalidate: true },
    field("API key", key, "Whoever runs the platform makes one for you. It is kept for as long as this tab is open."),
    el("p", {}, button), told);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await tried(key, entered);
    } catch (error) {
      forget();
      told.replaceChildren(refused(error));
      key.focus();
    } finally {
      button.disabled = false;
    }
  });
  return el("div", { class: "alone" },
    el("h1", { tabindex: -1 }, "Forecasts"),
    reason && el("p", { class: "box" }, reason),
    section("Sign in", form));
}

async function tried(key, entered) {
  const given = key.value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) throw { title: "That is no key", detail: "A key has letters, digits and signs only, and no spaces." };
  keep(given);
  entered(await ask("get_me"));
}

function refused(error) {
  if (error.status === 401) return problem({ title: "Not signed in", detail: "This key is unknown, expired or disabled." });
  if (error.status === 403) return problem({ title: "Not signed in", detail: `This key does not let you read: ${error.detail}.` });
  return problem(error);
}
