// The page of one SKU: what it sold and is expected to sell at a location, why, and how good that has been.

import { accuracyPart } from "./accuracy.js";
import { calendar, seriesChart } from "./chart.js";
import { el, newId, section, select } from "./elements.js";
import { longDay, moment, percent, plusDays, plural, units } from "./format.js";
import { load } from "./loading.js";
import { overridesPart } from "./overrides.js";
import { ask } from "./requests.js";
import { stockPart } from "./stock.js";

// As many as there is room for.
const pastDays = () => (window.innerWidth < 500 ? 28 : 56);

export function skuPage(at) {
  const [sku] = at.parameters;
  const body = el("div", {});
  load(body, () => ask("get_forecast", { path: { sku }, signal: at.signal }), (answer) => series(at, answer), {
    signal: at.signal, missing: "Nothing is forecast for this SKU: it is unknown, or has not sold for a long time.",
  });
  const named = el("p", { class: "note" });
  load(named, () => ask("find_skus", { query: { text: sku, limit: 1 }, signal: at.signal }), ({ items: [found] }) =>
    (found?.sku === sku ? [found.name, found.category].filter(Boolean).join(" · ") : ""), at);
  return { title: sku, parts: [named, body] };
}

function series(at, answer) {
  const locations = answer.forecasts.map((each) => each.location);
  const wanted = at.query.get("location");
  const shown = el("div", {});
  const draw = (location) => shown.replaceChildren(...ofLocation(at, answer.forecasts.find((each) => each.location === location)));
  const first = locations.includes(wanted) ? wanted : locations[0];
  draw(first);
  return [locations.length > 1 && locationSwitch(at, locations, first, draw), shown];
}

// The address follows the choice, so that it can be kept or sent; going back leads to the page before.
function locationSwitch(at, locations, chosen, draw) {
  const choose = (location) => {
    const query = new URLSearchParams({ location });
    history.replaceState(null, "", `#/skus/${encodeURIComponent(at.parameters[0])}?${query}`);
    draw(location);
  };
  if (locations.length > 6) {
    const id = newId("field");
    const options = select(locations.map((each) => [each, each]), chosen, { id, onchange: (event) => choose(event.target.value) });
    return el("p", { class: "switch" }, el("label", { for: id }, "Location "), options);
  }
  const name = newId("location");
  return el("fieldset", { class: "switch" }, el("legend", { class: "unseen" }, "Location"), locations.map((each) =>
    el("label", {}, el("input", { type: "radio", name, value: each, checked: each === chosen, onchange: () => choose(each) }),
      el("span", {}, each))));
}

function ofLocation(at, forecast) {
  const { location } = forecast;
  return [forecastPart(at, forecast), overridesPart(at, forecast), at.me.plans_stock && stockPart(at, location), accuracyPart(at, location)].filter(Boolean);
}

function forecastPart(at, forecast) {
  const drawn = el("div", {});
  const first = plusDays(forecast.origin, 1 - pastDays());
  const last = forecast.dates.at(-1) < at.me.today ? forecast.dates.at(-1) : at.me.today;
  const asked = { path: { sku: at.parameters[0] }, query: { from: first, to: last, location: forecast.location } };
  load(drawn, () => ask("get_history", { ...asked, signal: at.signal }), (answer) => chart(at, forecast, answer.items), at);
  const total = forecast.mean.reduce((sum, each) => sum + each, 0);
  return section("Sales and forecast",
    forecast.explanation && el("p", { class: "lead" }, forecast.explanation), drawn,
    el("p", { class: "note" },
      `${units(total)} expected in ${plural(forecast.horizon, "day")}, ${units(total / forecast.horizon)} a day. `,
      `Made by ${forecast.model} from sales up to ${longDay(forecast.origin)} (${plural(forecast.age_days, "day")} ago), `,
      `published ${moment(forecast.published_at)}, version ${forecast.version.slice(0, 8)}. `,
      `Confidence ${percent(forecast.confidence)}: how much better than last week repeated it has been.`));
}

function chart(at, forecast, facts) {
  const known = expected(forecast);
  for (const each of facts) {
    const past = { sold: each.units, promotion: each.on_promotion, outOfStock: !each.in_stock };
    known[each.day] = { ...known[each.day], ...past };
  }
  const first = facts[0]?.day ?? forecast.dates[0];
  const days = calendar(first < forecast.dates[0] ? first : forecast.dates[0], forecast.dates.at(-1), known);
  const label = `Sales and forecast of ${at.parameters[0]}, ${forecast.location}`;
  return seriesChart(days, { origin: forecast.origin, today: at.me.today, label });
}

function expected(forecast) {
  const at = (level, place) => forecast.quantiles[level]?.[place] ?? null;
  return Object.fromEntries(forecast.dates.map((day, place) => [day, {
    mean: forecast.mean[place], low80: at("0.1", place), high80: at("0.9", place), low95: at("0.025", place),
    high95: at("0.975", place), status: forecast.status[place],
  }]));
}
