// The field in the bar that completes a SKU as it is typed: a combobox with a list, by pointer or by keyboard.

import { el, tell } from "./elements.js";
import { plural } from "./format.js";
import { ask } from "./requests.js";

const PAUSE = 150;

// go: what to do with the SKU that is chosen; browse: with a text of which none was.
export function searchField(go, browse) {
  const list = el("ul", { role: "listbox", id: "found", "aria-label": "SKUs found", hidden: true });
  const input = el("input", {
    type: "search", id: "search", role: "combobox", placeholder: "Search a SKU", autocomplete: "off", spellcheck: "false",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "found", maxlength: 256,
  });
  const field = { input, list, go, browse, active: -1, asked: null, waiting: null };
  input.addEventListener("input", () => {
    clearTimeout(field.waiting);
    field.waiting = setTimeout(() => look(field), PAUSE);
  });
  input.addEventListener("focus", () => input.value && look(field));
  input.addEventListener("blur", () => close(field));
  input.addEventListener("keydown", (event) => pressed(field, event));
  return el("form", { role: "search", class: "search", onsubmit: (event) => event.preventDefault() },
    el("label", { for: "search", class: "unseen" }, "Search a SKU"), input, list);
}

async function look(field) {
  field.asked?.abort();
  const text = field.input.value.trim();
  if (!text) return close(field);
  field.asked = new AbortController();
  try {
    const { items } = await ask("find_skus", { query: { text, limit: 12 }, signal: field.asked.signal });
    show(field, items);
  } catch (error) {
    if (error.name === "AbortError") return;
    close(field);
    tell(error.detail ?? "The search did not work.");
  }
}

function show(field, items) {
  const { input, list } = field;
  if (document.activeElement !== input) return;
  field.active = -1;
  input.removeAttribute("aria-activedescendant");
  const none = el("li", { role: "option", "aria-disabled": true, "aria-selected": false, class: "none" }, "No SKU has this in its code or name");
  list.replaceChildren(...(items.length ? items.map((each, place) => option(field, each, place)) : [none]));
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
  tell(items.length ? `${plural(items.length, "SKU")} found` : "No SKU found");
}

function option(field, each, place) {
  const item = el("li", { role: "option", id: `found-${place}`, "aria-selected": false },
    el("b", {}, each.sku), each.name && el("span", { class: "small" }, each.name));
  item.dataset.sku = each.sku;
  // Before the field loses the focus and closes the list.
  item.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    chosen(field, each.sku);
  });
  return item;
}

function close(field) {
  clearTimeout(field.waiting);
  field.asked?.abort();
  field.list.hidden = true;
  field.active = -1;
  field.input.setAttribute("aria-expanded", "false");
  field.input.removeAttribute("aria-activedescendant");
}

function chosen(field, sku) {
  field.input.value = "";
  close(field);
  field.go(sku);
}

function pressed(field, event) {
  const options = field.list.hidden ? [] : [...field.list.querySelectorAll("[data-sku]")];
  if (event.key === "Escape") {
    if (!field.list.hidden) event.preventDefault();
    return close(field);
  }
  if (event.key === "Enter") return entered(field, options);
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  if (field.list.hidden) return look(field);
  if (!options.length) return;
  const step = event.key === "ArrowDown" ? 1 : -1;
  field.active = field.active < 0 && step < 0 ? options.length - 1 : (field.active + step + options.length) % options.length;
  options.forEach((each, place) => each.setAttribute("aria-selected", place === field.active));
  field.input.setAttribute("aria-activedescendant", options[field.active].id);
  options[field.active].scrollIntoView({ block: "nearest" });
}

function entered(field, options) {
  const text = field.input.value.trim();
  const exact = options.find((each) => each.dataset.sku.toLowerCase() === text.toLowerCase());
  const one = options[field.active] ?? exact ?? (options.length === 1 ? options[0] : null);
  if (one) return chosen(field, one.dataset.sku);
  if (text) {
    close(field);
    field.browse(text);
  }
}
