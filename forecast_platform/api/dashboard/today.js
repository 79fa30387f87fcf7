// The start: what somebody has to act on today, the most urgent first, and how the whole stands.

import { FLOOR } from "./accuracy.js";
import { trendLine } from "./chart.js";
import { cards, el, section, table } from "./elements.js";
import { count, longDay, money, NONE, percent, plural, shortDay, signedPercent, units } from "./format.js";
import { follow } from "./live.js";
import { load, problem } from "./loading.js";
import { ask, download } from "./requests.js";

const A_PAGE = 15;

export const KINDS = {
  order: "to order", "runs out": "running out whatever comes", "dead stock": "dead stock", overstocked: "too much", count: "to be counted",
};

export function todayPage(at) {
  const parts = [goodness(at)];
  if (at.me.plans_stock) parts.unshift(exceptionsPart(at), stockPart(at));
  return { title: `Today, ${longDay(at.me.today)}`, parts: [news(at), ...parts] };
}

// What is read stays as it is until its reader asks for what is newer.
function news(at) {
  const place = el("div", { role: "status" });
  const show = el("button", { type: "button", onclick: at.again }, "Show them");
  follow(at, (event) => {
    if (event.kind === "publication") place.replaceChildren(el("p", { class: "box" }, "New forecasts are published. ", show));
  });
  return place;
}

function exceptionsPart(at) {
  const kind = at.query.get("kind"), place = el("div", {});
  const query = { exception: kind, limit: A_PAGE, cursor: at.query.get("cursor") };
  load(place, () => ask("list_exceptions", { query, signal: at.signal }), (answer) => exceptions(answer, kind), {
    ...at, missing: "There is no inventory plan yet: the next run makes one.",
  });
  return section("What to act on", place);
}

function exceptions(answer, kind) {
  const all = Object.values(answer.counts).reduce((sum, each) => sum + each, 0);
  if (!all) return el("p", {}, `Nothing: by the plan of ${longDay(answer.day)} there is enough of everything and too much of nothing.`);
  const told = el("div", { role: "alert" });
  const save = async () => {
    try {
      await download("list_orders", `orders-${answer.day}.csv`, {});
    } catch (error) {
      told.replaceChildren(problem(error));
    }
  };
  const chip = (value, words, number) => el("li", {}, el("a", {
    href: value ? `#/?kind=${encodeURIComponent(value)}` : "#/", "aria-current": (value ?? null) === kind ? "true" : null,
  }, `${words} `, el("b", {}, count(number))));
  const more = answer.next_cursor && el("p", { class: "pages" },
    el("a", { href: `#/?${new URLSearchParams({ ...(kind && { kind }), cursor: answer.next_cursor })}` }, "The next ones"));
  return [
    el("div", { class: "tools" },
      el("ul", { class: "chips", "aria-label": "Kinds" }, chip(null, "all", all),
        Object.entries(answer.counts).map(([name, number]) => chip(name, KINDS[name] ?? name, number))),
      el("button", { type: "button", onclick: save }, "Save the orders (CSV)")),
    told, exceptionTable(answer), more,
    el("p", { class: "note" }, `By the plan of ${longDay(answer.day)}.`),
  ];
}

function exceptionTable(answer) {
  return table([
    { title: "SKU", row: true, cell: skuLink },
    { title: "What", narrow: false, cell: (each) => el("span", { class: `tag ${URGENT[each.exception] ?? ""}` }, KINDS[each.exception] ?? each.exception) },
    { title: "On hand", number: true, cell: (each) => units(each.on_hand) },
    { title: "Lasts days", number: true, narrow: false, cell: (each) => units(each.days_of_inventory) },
    { title: "Gone on", number: true, narrow: false, cell: (each) => (each.stockout_on ? shortDay(each.stockout_on) : NONE) },
    { title: "Order", number: true, cell: (each) => (each.order_quantity ? el("b", {}, units(each.order_quantity)) : NONE) },
    { title: "There on", number: true, narrow: false, cell: (each) => (each.order_quantity ? shortDay(each.expected_on) : NONE) },
    { title: "Value", number: true, narrow: false, cell: (each) => money(each.order_value || each.inventory_value) },
  ], answer.items, { caption: "What to act on, the most urgent first", below: (each) => each.reason });
}

const URGENT = { order: "warn", "runs out": "bad", "dead stock": "", overstocked: "", count: "" };

export const skuLink = ({ sku, location }) =>
  el("a", { href: `#/skus/${encodeURIComponent(sku)}?${new URLSearchParams({ location })}` }, `${sku} · ${location}`);

function stockPart(at) {
  const place = el("div", {});
  load(place, () => ask("get_inventory_totals", { signal: at.signal }), (answer) => stock(answer.items), {
    ...at, missing: "There is no inventory plan yet.",
  });
  return section("Stock", place);
}

function stock(days) {
  if (!days.length) return el("p", { class: "note" }, "There is no inventory plan yet.");
  const now = days.at(-1), trend = (name) => days.map((each) => [each.as_of, each[name]]);
  const figure = (title, name, value, beside) => [title, value, [beside, trendLine(trend(name), { words: title })]];
  return [
    cards([
      figure("Value of the stock", "inventory_value", money(now.inventory_value), `${money(now.value_too_much)} of it too much or dead`),
      figure("In stock", "in_stock_share", percent(now.in_stock_share), `${plural(now.out_of_stock, "series", "series")} out of stock`),
      figure("Lasts", "cover_days", `${units(now.cover_days)} days`, "at the demand that is expected"),
      figure("To order", "value_to_order", money(now.value_to_order), `${units(now.units_to_order)} units of ${plural(now.to_order, "series", "series")}`),
    ]),
    el("p", { class: "note" }, `At the end of ${longDay(now.as_of)}; the lines show the ${plural(days.length, "day")} up to it.`),
  ];
}

function goodness(at) {
  const place = el("div", {});
  const asked = { query: { horizon_bucket: "all", by: "day" }, signal: at.signal };
  load(place, () => Promise.all([ask("get_accuracy", { ...asked, query: { horizon_bucket: "all" } }), ask("get_accuracy", asked)]), scores, at);
  return section("How good the forecasts are", place);
}

function scores([whole, daily]) {
  const of = (model) => whole.items.find((each) => each.model === model);
  const published = of("published"), floor = of(FLOOR);
  if (!published) return el("p", { class: "note" }, "No published forecast has met its actual yet.");
  const days = daily.items.filter((each) => each.model === "published").sort((one, other) => (one.day < other.day ? -1 : 1));
  const trend = (name, words) => trendLine(days.map((each) => [each.day, each[name]]), { words });
  return [
    cards([
      ["Missed (WAPE)", percent(published.wape), [`${percent(floor?.wape)} by last week repeated`, trend("wape", "Missed, by day")]],
      ["Too much or too little (bias)", signedPercent(published.bias), ["+ is too much", trend("bias", "Bias, by day")]],
      ["Mean miss", units(published.mae), "units a day and series"],
      ["Scored", count(published.scored), "forecasts that met their actual"],
    ]),
    el("p", { class: "note" }, `Of the days ${longDay(whole.from)} to ${longDay(whole.to)}, all days ahead.`),
  ];
}
