// How good forecasts have been: by how many days ahead they were made, and model against model.

import { el, section, svg, table } from "./elements.js";
import { count, longDay, NONE, percent, signedPercent, units } from "./format.js";
import { load } from "./loading.js";
import { ask } from "./requests.js";

export const FLOOR = "seasonal_naive_7";
const PUBLISHED = "published";
const BUCKETS = ["1", "2-7", "8-14", "15-28", "29+", "all"];

// The accuracy of a SKU at a location.
export function accuracyPart(at, location) {
  const place = el("div", {});
  const asked = { path: { sku: at.parameters[0] }, query: { location }, signal: at.signal };
  load(place, () => ask("get_series_accuracy", asked), drawn, at);
  return section("How good the forecasts were", place);
}

function drawn(answer) {
  if (!answer.items.length) return el("p", { class: "note" }, "None of its forecasts has met its actual yet.");
  const figures = (model, bucket) => answer.items.find((each) => each.model === model && each.horizon_bucket === bucket);
  const rows = BUCKETS.filter((bucket) => figures(PUBLISHED, bucket)).map((bucket) => ({
    bucket, published: figures(PUBLISHED, bucket), floor: figures(FLOOR, bucket),
  }));
  return [
    el("p", { class: "note" },
      `Days from ${longDay(answer.from)} to ${longDay(answer.to)}. Missed: the sum of all misses as a share of what was sold (WAPE), `,
      "beside what repeating the week before would have missed. Bias: + is too much."),
    byBucket(rows), byModel(answer.items.filter((each) => each.horizon_bucket === "all")),
  ];
}

function byBucket(rows) {
  const most = Math.max(...rows.flatMap((row) => [row.published.wape, row.floor?.wape]).filter((each) => each !== null && each !== undefined), 1e-9);
  return table([
    { title: "Days ahead", row: true, cell: (row) => (row.bucket === "all" ? "all" : row.bucket.replace("-", " to ")) },
    { title: "Drawn", narrow: false, cell: (row) => bars(row, most) },
    { title: "Missed", number: true, cell: (row) => percent(row.published.wape) },
    { title: "Last week repeated", number: true, cell: (row) => percent(row.floor?.wape) },
    { title: "Bias", number: true, cell: (row) => signedPercent(row.published.bias) },
    { title: "Mean miss", number: true, narrow: false, cell: (row) => units(row.published.mae) },
    { title: "Scored", number: true, narrow: false, cell: (row) => count(row.published.scored) },
  ], rows, { caption: "Accuracy by days ahead" });
}

const bars = ({ published, floor }, most) => svg("svg", { viewBox: "0 0 120 18", width: 120, height: 18, "aria-hidden": true },
  svg("rect", { class: "bar", x: 0, y: 2, height: 7, rx: 2, width: (120 * (published.wape ?? 0)) / most }),
  svg("rect", { class: "bar floor", x: 0, y: 11, height: 5, rx: 2, width: (120 * (floor?.wape ?? 0)) / most }));

// Models beside each other, the best first.
export function byModel(items) {
  const best = [...items].sort((one, other) => (one.wape ?? Infinity) - (other.wape ?? Infinity));
  return el("details", {}, el("summary", {}, "Model against model"), table([
    { title: "Model", row: true, cell: (each) => (each.model === PUBLISHED ? "what was published" : each.model) },
    { title: "Missed (WAPE)", number: true, cell: (each) => percent(each.wape) },
    { title: "Better than last week repeated by", number: true, narrow: false, cell: (each) => points(each.fva_wape) },
    { title: "MAE", number: true, cell: (each) => units(each.mae) },
    { title: "RMSE", number: true, cell: (each) => units(each.rmse) },
    { title: "MAPE", number: true, narrow: false, cell: (each) => percent(each.mape) },
    { title: "Bias", number: true, cell: (each) => signedPercent(each.bias) },
    { title: "Scored", number: true, narrow: false, cell: (each) => count(each.scored) },
  ], best, { caption: "Accuracy by model, all days ahead" }));
}

const points = (value) => (value === null || value === undefined ? NONE : `${signedPercent(value).replace(" %", "")} points`);
