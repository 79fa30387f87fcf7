// Elements, put together from a name, attributes and children. A text is only ever text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let made = 0;

// An id that no other element of the page has.
export const newId = (word) => `${word}-${(made += 1)}`;

// A titled part of a page.
export function section(title, ...children) {
  const id = newId("part");
  return el("section", { class: "panel", "aria-labelledby": id }, el("h2", { id }, title), children);
}

// A table. Columns: { title, cell: (row) => child, number, row (the row's heading), narrow: false (left out on a phone) }.
// below: what stands under each row over its whole width.
export function table(columns, rows, { caption, below }) {
  const classes = (column) => [column.number && "n", column.narrow === false && "wide"].filter(Boolean).join(" ") || null;
  const heads = columns.map((column) =>
    el("th", { scope: "col", class: classes(column), "aria-sort": column.sorted }, column.head ?? column.title));
  const cells = (row) => columns.map((column) =>
    column.row
      ? el("th", { scope: "row", class: classes(column) }, column.cell(row))
      : el("td", { class: classes(column) }, column.cell(row)));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", {},
      el("caption", { class: "unseen" }, caption),
      el("thead", {}, el("tr", {}, heads)),
      el("tbody", { class: below && "said" }, rows.map((row) => [
        el("tr", {}, cells(row)),
        below && el("tr", {}, el("td", { colspan: columns.length, class: "why" }, below(row))),
      ]))));
}

// Figures side by side: [name, value, what it is measured against].
export function cards(figures) {
  return el("dl", { class: "cards" }, figures.map(([name, value, beside]) =>
    el("div", { class: "card" }, el("dt", {}, name),
      el("dd", {}, el("span", { class: "value" }, value), beside && el("span", { class: "small" }, beside)))));
}

// A field of a form with its label, and a hint that belongs to it.
export function field(label, input, hint) {
  input.id ||= newId("field");
  const note = hint && el("span", { class: "small", id: newId("hint") }, hint);
  if (note) input.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input, note);
}

export function select(options, chosen, attributes) {
  return el("select", attributes, options.map(([value, words]) =>
    el("option", { value, selected: value === chosen }, words)));
}

// Say something to who does not see that the page has changed.
export function tell(words) {
  document.getElementById("told").textContent = words;
}
