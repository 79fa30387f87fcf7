// The stock of a SKU at a location: what there is, what to do about it and why.

import { cards, el, section } from "./elements.js";
import { longDay, money, NONE, percent, plural, shortDay, units, words } from "./format.js";
import { load } from "./loading.js";
import { ask } from "./requests.js";
import { whatIf } from "./whatif.js";

export function stockPart(at, location) {
  const place = el("div", {});
  const asked = { path: { sku: at.parameters[0] }, query: { location }, signal: at.signal };
  load(place, () => ask("get_inventory", asked), (answer) => planned(at, answer.items[0]), {
    ...at, missing: "The inventory plan has no row of this SKU here: its stock was never counted.",
  });
  return section("Stock and what to order", place);
}

const TAGS = { "reorder now": "bad", reorder: "warn", watch: "", none: "good" };

function planned(at, row) {
  const lead = row.lead_time_std_days ? `${units(row.lead_time_days)} ± ${units(row.lead_time_std_days)}` : units(row.lead_time_days);
  return [
    el("p", { class: "lead" }, el("span", { class: `tag ${TAGS[row.action] ?? ""}` }, row.action === "none" ? "nothing to do" : row.action), " ", row.reason),
    cards([
      ["Order", row.order_quantity ? units(row.order_quantity) : NONE, row.order_quantity ? [`there on ${shortDay(row.expected_on)}`, row.order_value && `, worth ${money(row.order_value)}`] : "nothing today"],
      ["On hand", units(row.on_hand), row.counted_on ? `${row.stock_known}, count of ${shortDay(row.counted_on)}` : row.stock_known],
      ["On order", units(row.on_order), "on its way"],
      ["Lasts", row.days_of_inventory === null ? NONE : `${units(row.days_of_inventory)} days`, row.days_of_inventory === null ? "beyond the days ahead, or unknown" : `at ${units(row.demand_daily)} a day`],
      ["Likely to run out", percent(row.stockout_probability), row.stockout_on ? `before an order of today comes; gone on ${shortDay(row.stockout_on)}` : "before an order of today comes"],
      ["Reorder at", units(row.reorder_point), `of it ${units(row.safety_stock)} safety stock`],
    ]),
    el("p", { class: "note" },
      `Plan of ${longDay(row.as_of)}: ${words(row.status)}. Delivery takes ${lead} days, looked at every ${plural(row.review_period_days, "day")}, `,
      `service level ${percent(row.service_level)}, policy ${words(row.policy)}`, row.moq ? `, at least ${units(row.moq)} an order` : "",
      row.supplier && `, supplier ${row.supplier}`, row.abc && `. Class ${row.abc}${row.xyz ?? ""}, demand ${row.demand_class}`, "."),
    whatIf(at, row),
  ];
}
