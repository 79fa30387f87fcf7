// Signing in: by name and password, or with an API key. What is given is tried, and kept for this tab only.

import { el, field, section } from "./elements.js";
import { plural } from "./format.js";
import { problem } from "./loading.js";
import { ask } from "./requests.js";
import { forget, keep } from "./session.js";

// entered: what to do with what the API says of the one who has signed in; reason: why signing in is needed, if told.
export function signIn(entered, reason) {
  return el("div", { class: "alone" },
    el("h1", { tabindex: -1 }, "Forecasts"),
    reason && el("p", { class: "box" }, reason),
    section("Sign in", byPassword(entered),
      el("details", {}, el("summary", {}, "With an API key instead"), byKey(entered))));
}

function byPassword(entered) {
  const name = el("input", { id: "name", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true });
  const password = el("input", { id: "password", type: "password", autocomplete: "current-password", required: true });
  return form([field("Name", name), field("Password", password)], password, async () => {
    if (!name.value.trim() || !password.value) throw { title: "Not signed in", detail: "Write your name and your password." };
    forget();
    const session = await ask("sign_in", { body: { name: name.value, password: password.value } });
    keep(session.token);
    entered(await ask("get_me"));
  }, { 401: "This name and password are not right, or this user is disabled." });
}

function byKey(entered) {
  const key = el("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  return form([field("API key", key, "Whoever runs the platform makes one for you.")], key, async () => {
    const given = key.value.trim();
    if (!/^[\x21-\x7e]+$/.test(given)) throw { title: "That is no key", detail: "A key has letters, digits and signs only, and no spaces." };
    keep(given);
    entered(await ask("get_me"));
  }, { 401: "This key is unknown, expired or disabled." });
}

// A form that tries what was given, and tells what was wrong with it, where the next attempt is written.
function form(fields, again, trying, words) {
  const button = el("button", { type: "submit", class: again.id === "password" && "first" }, "Sign in");
  const told = el("div", { role: "alert" });
  const made = el("form", { class: "fields", novalidate: true }, fields, el("p", {}, button), told);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await trying();
    } catch (error) {
      forget();
      told.replaceChildren(refused(error, words));
      again.focus();
      again.select();
    } finally {
      button.disabled = false;
    }
  });
  return made;
}

function refused(error, words) {
  if (words[error.status]) return problem({ title: "Not signed in", detail: words[error.status] });
  if (error.status === 403) return problem({ title: "Not signed in", detail: `You may not read here: ${error.detail}.` });
  if (error.status === 429) return problem({ title: "Too many attempts", detail: `Try again in ${plural(error.retryAfter, "second")}.` });
  return problem(error);
}
