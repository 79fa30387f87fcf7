// Who is signed in, one's own password, and how this tenant is forecast: to be read here, and changed by who runs it.

import { el, field, section } from "./elements.js";
import { longDay, moment, NONE, percent, plural, words } from "./format.js";
import { load, problem } from "./loading.js";
import { ask } from "./requests.js";
import { keep } from "./session.js";

export function settingsPage(at) {
  return { title: "Settings", parts: [
    el("div", { class: "two" }, self(at), at.me.name && password(at)),
    tenant(at),
  ] };
}

const MAY = { read: "read", write: "send sales and stock", jobs: "start forecasts and backfills", admin: "run webhooks" };

function self(at) {
  const { me } = at;
  const may = Object.keys(MAY).filter((scope) => me.scopes.includes(scope)).map((scope) => MAY[scope]);
  return section("You",
    facts([
      ["Signed in as", me.name ?? me.subject],
      ["Tenant", me.tenant],
      ["Role", me.role ?? (me.subject.startsWith("key ") ? "none: this is an API key" : NONE)],
      ["You may", may.join(", ")],
      ["Signed in until", me.expires_at ? moment(me.expires_at) : "you sign out"],
    ]),
    el("p", {}, el("button", { type: "button", onclick: at.leave }, "Sign out")));
}

function password(at) {
  const input = (autocomplete) => el("input", { type: "password", autocomplete, required: true });
  const [old, wanted, again] = [input("current-password"), input("new-password"), input("new-password")];
  const button = el("button", { type: "submit", class: "first" }, "Change password");
  const told = el("div", { role: "alert" });
  const form = el("form", { class: "fields one", novalidate: true },
    // For password managers, which file a password under the name beside it.
    el("input", { type: "text", autocomplete: "username", value: at.me.name, hidden: true }),
    field("Old password", old),
    field("New password", wanted, "12 characters or more, without your name in it."),
    field("New password again", again),
    el("p", {}, button), told);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      told.replaceChildren(await changed(at, old.value, wanted.value, again.value));
      form.reset();
    } catch (error) {
      told.replaceChildren(problem(error));
      (error.status === 422 || error.field === "again" ? wanted : old).focus();
    } finally {
      button.disabled = false;
    }
  });
  return section("Your password", form);
}

async function changed(at, old, wanted, again) {
  if (!old || !wanted) throw { title: "Not changed", detail: "Write the old password, and the new one twice." };
  if (wanted !== again) throw { title: "Not changed", detail: "The new passwords differ: write the same one twice.", field: "again" };
  let session;
  try {
    session = await ask("change_password", { body: { old_password: old, new_password: wanted } });
  } catch (error) {
    if (error.status === 409) throw { title: "Not changed", detail: "The old password is not right." };
    if (error.status === 429) throw { title: "Too many attempts", detail: `Try again in ${plural(error.retryAfter, "second")}.` };
    if (error.status === 422) throw { title: "Not changed", detail: `${error.detail[0].toUpperCase()}${error.detail.slice(1)}.`, status: 422 };
    throw error;
  }
  keep(session.token);
  at.me.expires_at = session.expires_at;
  return el("p", { class: "box good" }, "Your password is changed. Wherever else you were signed in, you are no more.");
}

function tenant(at) {
  const place = el("div", {});
  load(place, () => ask("get_settings", { signal: at.signal }), (found) => shown(found), at);
  return section(`How ${at.me.tenant} is forecast`, place);
}

function shown(found) {
  const { stock } = found;
  return [
    el("p", { class: "note" }, "Set by whoever runs the platform."),
    facts([
      ["Time zone", found.timezone],
      ["Holidays of", found.country ?? "no country"],
      ["Days on record", `since ${longDay(found.start)}`],
      ["A day closes", `at ${found.close_at} of the next`],
      ["Forecast ahead", plural(found.horizon, "day")],
      ["Models learn from", plural(found.training_window, "day")],
      ["Models", found.models.map(words).join(", ")],
      ["Published at first", words(found.default_model)],
      ["Then the best of", `${plural(found.champion_window, "day")} of measured errors`],
      ["Intervals rest on", `${plural(found.calibration_window, "day")} of measured errors`],
      ["Forecast no more after", `${plural(found.inactive_after_days, "day")} without a sale`],
    ]),
    stock && el("h3", {}, "Stock, where an item does not say otherwise"),
    stock && facts([
      ["Service level", `${percent(stock.service_level)} of ${stock.service_metric === "fill" ? "units" : "order cycles"}`],
      ["Policy", words(stock.policy)],
      ["Delivery takes", plural(stock.lead_time_days, "day")],
      ["Ordered every", plural(stock.review_period_days, "day")],
      ["Too much stock", `above ${plural(stock.overstocked_days, "day")} of demand`],
      ["Dead stock", `after ${plural(stock.dead_stock_days, "day")} without a sale`],
    ]),
  ];
}

const facts = (rows) => el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
