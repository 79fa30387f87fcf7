// What planners expect of a series instead of its forecast: those that hold, and a form for one more.

import { el, field, section, table, tell } from "./elements.js";
import { longDay, moment, plusDays, units } from "./format.js";
import { problem } from "./loading.js";
import { ask } from "./requests.js";

export function overridesPart(at, forecast) {
  const writes = at.me.scopes.includes("write");
  if (!writes && forecast.overrides.length === 0) return null;
  const told = el("div", { role: "status" });
  return section("What planners expect",
    forecast.overrides.length > 0 && held(at, forecast, writes, told),
    writes && form(at, forecast, told), told,
    el("p", { class: "note" }, "The published forecast stays as it is; both are scored once the day is over."));
}

function held(at, forecast, writes, told) {
  const published = Object.fromEntries(forecast.dates.map((day, place) => [day, forecast.mean[place]]));
  const columns = [
    { title: "Day", row: true, cell: (each) => longDay(each.target_date) },
    { title: "Expected", number: true, cell: (each) => el("b", {}, units(each.units)) },
    { title: "Forecast", number: true, cell: (each) => units(published[each.target_date]) },
    { title: "Why", cell: (each) => each.reason },
    { title: "Who", narrow: false, cell: (each) => each.author },
    { title: "Until", narrow: false, cell: (each) => (each.expires_at ? moment(each.expires_at) : "for good") },
  ];
  if (writes) columns.push({ title: "Withdraw", cell: (each) => withdrawal(at, each, told) });
  return table(columns, forecast.overrides, { caption: "Overrides that hold" });
}

function withdrawal(at, override, told) {
  const label = `Withdraw what is expected of ${longDay(override.target_date)}`;
  const button = el("button", { type: "button", "aria-label": label }, "Withdraw");
  button.addEventListener("click", () => sent(button, told, "Withdrawn", () =>
    ask("withdraw_override", { path: { entry: override.entry }, body: { reason: "withdrawn on the page" }, signal: at.signal })));
  return button;
}

function form(at, forecast, told) {
  const first = plusDays(forecast.origin, 1) > at.me.today ? plusDays(forecast.origin, 1) : at.me.today;
  const day = el("input", { type: "date", required: true, min: first });
  const amount = el("input", { type: "number", min: 0, step: "any", required: true });
  const why = el("input", { type: "text", required: true, maxlength: 500 });
  const until = el("input", { type: "date", min: plusDays(first, 1) });
  const button = el("button", { type: "submit" }, "Expect this");
  const made = el("form", { class: "fields" },
    field("Day", day), field("Units", amount), field("Why", why), field("Holds until", until, "Empty: for good"),
    el("p", {}, button));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    const item = { sku: at.parameters[0], location: forecast.location, target_date: day.value, units: Number(amount.value) };
    const body = { items: [item], reason: why.value, expires_at: until.value ? new Date(`${until.value}T00:00`).toISOString() : null };
    sent(button, told, "Kept", () => ask("create_overrides", { body, signal: at.signal }));
  });
  return el("details", {}, el("summary", {}, "Expect something else …"), made);
}

async function sent(button, told, words, asking) {
  button.disabled = true;
  try {
    await asking();
    const said = `${words}. It is shown here with the next run, within a minute or two.`;
    told.replaceChildren(el("p", { class: "box" }, said));
    tell(said);
    if (button.form) {
      button.form.reset();
      button.disabled = false;
    }
  } catch (error) {
    button.disabled = false;
    if (error.name !== "AbortError") told.replaceChildren(problem(error));
  }
}
