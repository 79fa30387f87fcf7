// The table of all SKUs: by the inventory plan where stock is planned, by what is forecast where it is not.

import { el, field, section, select, table } from "./elements.js";
import { longDay, money, NONE, percent, units } from "./format.js";
import { load, problem } from "./loading.js";
import { ask, download } from "./requests.js";
import { skuLink } from "./today.js";

const A_PAGE = 50;
const STATUSES = ["out of stock", "understocked", "normal", "overstocked", "dead stock", "not stocked", "stock unknown"];
const ACTIONS = ["reorder now", "reorder", "watch", "none"];

export function skusPage(at) {
  const place = el("div", {});
  const list = at.me.plans_stock ? PLANNED : FORECAST;
  const query = Object.fromEntries([...list.filters, "sort", "cursor"].map((name) => [name, at.query.get(name)]));
  load(place, () => ask(list.endpoint, { query: { ...query, limit: A_PAGE }, signal: at.signal }), (answer) => listed(at, list, answer), {
    ...at, missing: "There is no inventory plan yet: the next run makes one.",
  });
  return { title: "SKUs", parts: [section("Every SKU at every location", tools(at, list, query), place)] };
}

// The address of the table with something changed: it begins at its first page again.
function address(at, changes) {
  const query = new URLSearchParams(at.query);
  if (!("cursor" in changes)) query.delete("cursor");
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  return query.size ? `/skus?${query}` : "/skus";
}

function tools(at, list, query) {
  const told = el("div", { role: "alert" });
  const inputs = list.inputs(query);
  const narrowed = (event) => {
    event.preventDefault();
    at.go(address(at, Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]))));
  };
  const save = async () => {
    try {
      await download(list.endpoint, `${list.file}.csv`, { query: { ...query, cursor: null } });
    } catch (error) {
      told.replaceChildren(problem(error));
    }
  };
  return [
    el("form", { class: "tools", onsubmit: narrowed },
      Object.entries(inputs).map(([name, input]) => field(list.labels[name], input)),
      el("button", { type: "submit", class: "first" }, "Show"),
      at.query.size > 0 && el("a", { href: "#/skus" }, "Show all"),
      el("button", { type: "button", onclick: save }, "Save as CSV")),
    told,
  ];
}

function listed(at, list, answer) {
  if (!answer.items.length) return el("p", {}, "No SKU is like that. ", el("a", { href: "#/skus" }, "Show all"));
  const columns = list.columns.map((column) => (column.sort ? { ...column, ...sortable(at, column) } : column));
  const next = answer.next_cursor && el("a", { href: `#${address(at, { cursor: answer.next_cursor })}` }, "Next page");
  const first = at.query.get("cursor") && el("a", { href: `#${address(at, {})}` }, "First page");
  return [
    table(columns, answer.items, { caption: "SKUs by location" }),
    (next || first) && el("nav", { class: "pages", "aria-label": "Pages of the table" }, first, next),
    answer.day && el("p", { class: "note" }, `By the plan of ${longDay(answer.day)}.`),
  ];
}

// A heading that sorts: by what matters most first, and the other way round the next time.
function sortable(at, column) {
  const now = at.query.get("sort") ?? "sku";
  const [first, second] = column.sort;
  const sorted = now.startsWith("-") ? "descending" : "ascending";
  const wanted = now === first && second ? second : first;
  const mine = now === first || now === second;
  return {
    sorted: mine ? sorted : null,
    head: el("button", { type: "button", onclick: () => at.go(address(at, { sort: wanted })) },
      column.title, mine && el("span", { "aria-hidden": true }, sorted === "descending" ? " ▾" : " ▴")),
  };
}

const either = (name) => [`-${name}`, name];
const option = (names) => [["", "all"], ...names.map((name) => [name, name])];
const TAGS = { "reorder now": "bad", reorder: "warn" };

const PLANNED = {
  endpoint: "list_inventory",
  file: "inventory",
  filters: ["q", "status", "action", "abc", "category", "location"],
  labels: { q: "Part of the SKU", status: "Stock", action: "To do", abc: "Class", category: "Category", location: "Location" },
  inputs: (query) => ({
    q: el("input", { type: "search", value: query.q, maxlength: 256, size: 12 }),
    status: select(option(STATUSES), query.status ?? ""),
    action: select(option(ACTIONS), query.action ?? ""),
    abc: select(option(["A", "B", "C"]), query.abc ?? ""),
    category: el("input", { value: query.category, maxlength: 256, size: 8 }),
    location: el("input", { value: query.location, maxlength: 256, size: 8 }),
  }),
  columns: [
    { title: "SKU", row: true, sort: ["sku"], cell: skuLink },
    { title: "To do", sort: ["priority"], cell: (row) => el("span", { class: `tag ${TAGS[row.action] ?? ""}` }, row.action) },
    { title: "Stock", narrow: false, cell: (row) => row.status },
    { title: "Category", narrow: false, cell: (row) => row.category ?? NONE },
    { title: "A day", number: true, narrow: false, sort: either("demand_daily"), cell: (row) => units(row.demand_daily) },
    { title: "On hand", number: true, sort: either("on_hand"), cell: (row) => units(row.on_hand) },
    { title: "Lasts days", number: true, narrow: false, sort: ["days_of_inventory", "-days_of_inventory"], cell: (row) => units(row.days_of_inventory) },
    { title: "Order", number: true, sort: either("order_quantity"), cell: (row) => (row.order_quantity ? units(row.order_quantity) : NONE) },
    { title: "Order value", number: true, narrow: false, sort: either("order_value"), cell: (row) => (row.order_value ? money(row.order_value) : NONE) },
    { title: "Stock value", number: true, narrow: false, sort: either("inventory_value"), cell: (row) => money(row.inventory_value) },
    { title: "May run out", number: true, narrow: false, sort: either("stockout_probability"), cell: (row) => percent(row.stockout_probability) },
    { title: "Class", narrow: false, cell: (row) => `${row.abc ?? NONE}${row.xyz ?? ""}` },
  ],
};

const sum = (values) => values.reduce((total, each) => total + each, 0);

const FORECAST = {
  endpoint: "list_forecasts",
  file: "forecasts",
  filters: ["sku", "location", "category", "model"],
  labels: { sku: "SKU", location: "Location", category: "Category", model: "Model" },
  inputs: (query) => Object.fromEntries(FORECAST.filters.map((name) => [name, el("input", { value: query[name], maxlength: 256 })])),
  columns: [
    { title: "SKU", row: true, cell: skuLink },
    { title: "Next 7 days", number: true, cell: (each) => units(sum(each.mean.slice(0, 7))) },
    { title: "All days ahead", number: true, cell: (each) => units(sum(each.mean)) },
    { title: "Model", narrow: false, cell: (each) => each.model },
    { title: "Confidence", number: true, narrow: false, cell: (each) => percent(each.confidence) },
    { title: "From sales up to", narrow: false, cell: (each) => longDay(each.origin) },
  ],
};
