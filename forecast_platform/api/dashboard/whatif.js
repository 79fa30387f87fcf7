// What the plan would say of a series with another stock, on other terms: what is changed is sent, and nothing is kept.

import { el, field, table, tell } from "./elements.js";
import { money, NONE, percent, shortDay, units } from "./format.js";
import { problem } from "./loading.js";
import { ask } from "./requests.js";

// [the API's name, label, of the plan's row, how many of the field's units are one of the API's]
const TERMS = [
  ["on_hand", "On hand", (row) => row.on_hand, 1],
  ["on_order", "On order", (row) => row.on_order, 1],
  ["lead_time_days", "Delivery takes (days)", (row) => row.lead_time_days, 1],
  ["lead_time_std_days", "give or take (days)", (row) => row.lead_time_std_days, 1],
  ["review_period_days", "Looked at every (days)", (row) => row.review_period_days, 1],
  ["service_level", "Service level (%)", (row) => row.service_level, 100],
  ["moq", "At least an order", (row) => row.moq, 1],
  ["order_multiple", "In multiples of", (row) => row.order_multiple, 1],
  ["demand_factor", "Demand (% of the forecast)", () => 1, 100],
];

const neat = (value) => (value === null ? "" : String(Number(value.toPrecision(9))));

export function whatIf(at, row) {
  const inputs = TERMS.map(([name, label, of, scale]) => {
    const known = of(row);
    const start = known === null ? "" : neat(known * scale);
    return { name, label, scale, start, input: el("input", { type: "number", step: "any", value: start }) };
  });
  const found = el("div", { role: "status" }), button = el("button", { type: "submit", class: "first" }, "Calculate");
  const form = el("form", { class: "fields", novalidate: true },
    inputs.map((each) => field(each.label, each.input)),
    el("p", {}, button, " ", el("button", { type: "reset", onclick: () => found.replaceChildren() }, "As planned")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const body = { sku: row.sku, location: row.location, ...changed(inputs) };
      found.replaceChildren(...beside(await ask("calculate_inventory", { body, signal: at.signal })));
      tell("Calculated");
    } catch (error) {
      if (error.name !== "AbortError") found.replaceChildren(problem(error));
    } finally {
      button.disabled = false;
    }
  });
  return el("details", {}, el("summary", {}, "What if …"), form, found);
}

function changed(inputs) {
  const other = inputs.filter(({ input, start }) => input.value !== start && input.value !== "");
  return Object.fromEntries(other.map(({ name, input, scale }) => [name, Number(input.value) / scale]));
}

const FIGURES = [
  ["Order", (row) => (row.order_quantity ? units(row.order_quantity) : NONE)],
  ["Worth", (row) => (row.order_value ? money(row.order_value) : NONE)],
  ["There on", (row) => shortDay(row.expected_on)],
  ["Reorder at", (row) => units(row.reorder_point)],
  ["Of it safety stock", (row) => units(row.safety_stock)],
  ["Order up to", (row) => units(row.order_up_to)],
  ["Lasts days", (row) => units(row.days_of_inventory)],
  ["Likely to run out", (row) => percent(row.stockout_probability)],
  ["Stock", (row) => row.status],
  ["To do", (row) => row.action],
];

function beside(answer) {
  return [
    el("p", { class: "box" }, answer.what_if.reason),
    table([
      { title: "Figure", row: true, cell: ([name]) => name },
      { title: "As planned", number: true, cell: ([, shown]) => shown(answer.plan) },
      { title: "What if", number: true, cell: ([, shown]) => el("b", {}, shown(answer.what_if)) },
    ], FIGURES, { caption: "The plan, and what it would be" }),
  ];
}
