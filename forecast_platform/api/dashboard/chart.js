// Drawings of days: what was sold, what is expected and its intervals, drawn at the width there is. A day is chosen with
// the pointer or the arrow keys and its figures stand below; what is drawn is also there as a table.

import { el, newId, svg, table } from "./elements.js";
import { daysBetween, longDay, plusDays, shortDay, units } from "./format.js";

const TOP = 10, RIGHT = 12, BOTTOM = 26, LETTER = 7;

// Round values from 0 to at least `highest`, about `count` of them.
export function niceTicks(highest, count = 4) {
  if (!(highest > 0)) return [0, 1];
  const raw = highest / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= raw * 0.999);
  return Array.from({ length: Math.ceil(highest / step - 1e-9) + 1 }, (_, number) => step * number);
}

// The chart of a series. days: [{ day, sold, mean, low80, high80, low95, high95, promotion, outOfStock, status }], one
// a day without gaps; a figure that is not known is null. origin: the last day whose sales the forecast knew; today: the
// open day, of which there are more sales to come.
export function seriesChart(days, { origin, today, label }) {
  const plot = el("div", { class: "plot", role: "slider", tabindex: 0, "aria-label": `${label}: choose a day` });
  const readout = el("p", { class: "readout" });
  const chart = { days, origin, today, plot, readout, chosen: Math.max(days.findIndex((each) => each.mean !== null), 0) };
  const redraw = () => draw(chart);
  new ResizeObserver(redraw).observe(plot);
  plot.addEventListener("keydown", (event) => moved(chart, event));
  plot.addEventListener("pointermove", (event) => pointed(chart, event));
  plot.addEventListener("pointerdown", (event) => pointed(chart, event));
  choose(chart, chart.chosen);
  return el("figure", { class: "chart" }, el("figcaption", {}, key(days)), plot, readout, asTable(days, label));
}

const drawn = {
  sold: "sold", mean: "forecast", high80: "80 % interval", high95: "95 % interval", promotion: "promotion",
  outOfStock: "out of stock",
};

function key(days) {
  const there = Object.entries(drawn).filter(([name]) => days.some((each) => known(each[name])));
  return el("ul", { class: "key" }, there.map(([name, words]) =>
    el("li", {}, el("span", { class: `swatch ${name}`, "aria-hidden": true }), words)));
}

const known = (value) => value !== null && value !== undefined && value !== false;

function draw(chart) {
  const { days, plot } = chart;
  const width = Math.floor(plot.clientWidth), height = width < 500 ? 220 : 280;
  if (width < 50) return;
  const ticks = niceTicks(Math.max(0, ...days.flatMap((each) => [each.sold, each.mean, each.high95, each.high80]).filter(known)));
  const left = 10 + LETTER * Math.max(...ticks.map((tick) => units(tick).length));
  const x = (place) => left + ((place + 0.5) / days.length) * (width - left - RIGHT);
  const y = (value) => height - BOTTOM - (value / ticks.at(-1)) * (height - TOP - BOTTOM);
  Object.assign(chart, { x, y, left, width, height });
  chart.cursor = svg("g", { class: "cursor" });
  plot.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": true },
    ticks.map((tick) => [
      svg("line", { class: "grid", x1: left, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, units(tick)),
    ]),
    weekTicks(days, x, width, height), divider(chart),
    band(days, "95", x, y), band(days, "80", x, y),
    line(days, "sold", x, y), line(days, "mean", x, y), marks(days, x, width / days.length, height), chart.cursor));
  point(chart);
}

function weekTicks(days, x, width, height) {
  const perLabel = Math.max(1, Math.ceil(64 / ((width / days.length) * 7)));
  const mondays = days.map((each, place) => [each.day, place]).filter(([day]) => new Date(`${day}T00:00:00Z`).getUTCDay() === 1);
  return mondays.filter((_, number) => number % perLabel === 0).map(([day, place]) => [
    svg("line", { class: "tick", x1: x(place), x2: x(place), y1: height - BOTTOM, y2: height - BOTTOM + 4 }),
    svg("text", { x: Math.min(Math.max(x(place), 24), width - 24), y: height - 8, "text-anchor": "middle" }, shortDay(day)),
  ]);
}

function divider({ days, origin, x, height }) {
  const place = days.findIndex((each) => each.day === origin);
  return place >= 0 && svg("line", { class: "origin", x1: x(place + 0.5), x2: x(place + 0.5), y1: TOP, y2: height - BOTTOM });
}

function band(days, level, x, y) {
  const [low, high] = [`low${level}`, `high${level}`];
  const there = days.map((each, place) => ({ place, ...each })).filter((each) => known(each[low]) && known(each[high]));
  if (there.length === 0) return null;
  const up = there.map((each) => `${x(each.place).toFixed(1)} ${y(each[high]).toFixed(1)}`);
  const down = there.map((each) => `${x(each.place).toFixed(1)} ${y(each[low]).toFixed(1)}`).reverse();
  return svg("path", { class: `band${level}`, d: `M${up.join("L")}L${down.join("L")}Z` });
}

function line(days, name, x, y) {
  let path = "", open = false;
  days.forEach((each, place) => {
    if (known(each[name])) path += `${open ? "L" : "M"}${x(place).toFixed(1)} ${y(each[name]).toFixed(1)}`;
    open = known(each[name]);
  });
  return path && svg("path", { class: `line ${name}`, d: path });
}

// Days of promotion and of an empty shelf, as marks along the lower edge.
function marks(days, x, wide, height) {
  return days.flatMap((each, place) => ["promotion", "outOfStock"].filter((name) => each[name]).map((name) =>
    svg("rect", {
      class: `mark ${name}`, x: x(place) - wide / 2, width: wide, y: height - BOTTOM - (name === "promotion" ? 3 : 6), height: 3,
    })));
}

function point(chart) {
  const { cursor, days, chosen, x, y, height } = chart;
  if (!cursor) return;
  const dots = ["sold", "mean"].filter((name) => known(days[chosen][name]));
  cursor.replaceChildren(
    svg("line", { x1: x(chosen), x2: x(chosen), y1: TOP, y2: height - BOTTOM }),
    ...dots.map((name) => svg("circle", { class: name, cx: x(chosen), cy: y(days[chosen][name]), r: 4 })));
}

function choose(chart, place) {
  const { days, plot, readout } = chart;
  chart.chosen = Math.min(Math.max(place, 0), days.length - 1);
  const told = inWords(days[chart.chosen], chart.today);
  plot.setAttribute("aria-valuemin", 0);
  plot.setAttribute("aria-valuemax", days.length - 1);
  plot.setAttribute("aria-valuenow", chart.chosen);
  plot.setAttribute("aria-valuetext", told);
  readout.textContent = told;
  point(chart);
}

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 7, PageDown: -7, Home: -Infinity, End: Infinity };

function moved(chart, event) {
  if (!(event.key in STEPS)) return;
  event.preventDefault();
  choose(chart, chart.chosen + STEPS[event.key]);
}

function pointed(chart, event) {
  if (!chart.x) return;
  const across = (event.clientX - chart.plot.getBoundingClientRect().left - chart.left) / (chart.width - chart.left - RIGHT);
  choose(chart, Math.floor(across * chart.days.length));
}

function inWords(each, today) {
  const parts = [];
  if (known(each.sold)) parts.push(`sold ${units(each.sold)}${each.day === today ? " so far" : ""}`);
  if (known(each.mean)) parts.push(`forecast ${units(each.mean)}`);
  if (known(each.high80)) parts.push(`80 % between ${units(each.low80)} and ${units(each.high80)}`);
  if (known(each.high95)) parts.push(`95 % between ${units(each.low95)} and ${units(each.high95)}`);
  if (each.promotion) parts.push("on promotion");
  if (each.outOfStock) parts.push("out of stock");
  if (each.status && each.status !== "model") parts.push(STATUS[each.status] ?? each.status);
  return `${longDay(each.day)}: ${parts.join(", ") || "nothing known"}`;
}

export const STATUS = {
  fallback: "too short a history for the model: a simple mean",
  cold_start: "never sold: the level of its group",
  capped: "cut at the most it could plausibly sell",
};

function asTable(days, label) {
  const figure = (title, name) => ({ title, number: true, cell: (each) => units(each[name]) });
  const columns = [
    { title: "Day", row: true, cell: (each) => longDay(each.day) },
    figure("Sold", "sold"), figure("Forecast", "mean"),
    figure("80 % from", "low80"), figure("to", "high80"), figure("95 % from", "low95"), figure("to", "high95"),
  ];
  const details = el("details", {}, el("summary", {}, "The figures as a table"));
  details.addEventListener("toggle", () => {
    if (details.childElementCount === 1) details.append(table(columns, days, { caption: `${label}, day by day` }));
  });
  return details;
}

// A small line of one figure over days: [[day, value]]. `words` tells what it shows to who does not see it.
export function trendLine(points, { words, percent = false }) {
  const id = newId("trend"), width = 260, height = 64;
  const values = points.map(([, value]) => value).filter(known);
  if (values.length < 2) return el("p", { class: "small" }, "The trend shows from the second day on.");
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const low = Math.min(...values), high = Math.max(...values), span = high - low || 1;
  const x = (day) => 3 + (daysBetween(first, day) / Math.max(daysBetween(first, last), 1)) * (width - 6);
  const y = (value) => height - 5 - ((value - low) / span) * (height - 10);
  const path = points.filter(([, value]) => known(value)).map(([day, value]) => `${x(day).toFixed(1)} ${y(value).toFixed(1)}`);
  return svg("svg", { class: "trend", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": id },
    svg("title", { id }, `${words}, ${shortDay(first)} to ${shortDay(last)}`),
    svg("path", { class: percent ? "line mean" : "line sold", d: `M${path.join("L")}` }));
}

// One row a day from `first` to `last`, whatever is known of each.
export function calendar(first, last, known = {}) {
  return Array.from({ length: daysBetween(first, last) + 1 }, (_, place) => {
    const day = plusDays(first, place);
    return {
      day, sold: null, mean: null, low80: null, high80: null, low95: null, high95: null, promotion: false,
      outOfStock: false, status: null, ...known[day],
    };
  });
}
