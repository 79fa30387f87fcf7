// Sending a file: it is looked through first and nothing is kept; what was found is shown, and then it is accepted.

import { cards, el, field, section, select, table, tell } from "./elements.js";
import { count, NONE, plural, shortDay, longDay } from "./format.js";
import { problem } from "./loading.js";
import { ask } from "./requests.js";

const KINDS = [["sales", "sales"], ["items", "items"], ["stock", "counts of stock"], ["plan", "planned promotions and prices"]];

export function uploadPage() {
  const file = el("input", { type: "file", accept: ".csv,text/csv", required: true });
  const kind = select(KINDS, "sales");
  const found = el("div", { role: "status" });
  const look = el("button", { type: "submit", class: "first" }, "Look the file through");
  const form = el("form", { class: "fields" },
    field("File", file, "CSV with a header, in UTF-8."), field("What it holds", kind), el("p", {}, look));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await sent(look, found, { file: file.files[0], kind: kind.value, dry_run: true });
  });
  // What was found is of the file as it was: another one is looked through anew.
  for (const each of [file, kind]) each.addEventListener("change", () => found.replaceChildren());
  return { title: "Upload", parts: [section("Send a file", form), found] };
}

async function sent(button, found, { file, kind, dry_run }) {
  button.disabled = true;
  try {
    const query = { kind, dry_run, name: file.name.slice(0, 200) };
    const report = await ask("post_upload", { query, file, type: "text/csv" });
    found.replaceChildren(shown(report, file, found));
  } catch (error) {
    found.replaceChildren(problem(error));
  } finally {
    button.disabled = false;
  }
}

function shown(report, file, found) {
  const days = report.days.length ? `${shortDay(report.days[0])} to ${longDay(report.days.at(-1))}` : NONE;
  const heading = report.kept ? "The file is accepted" : "What was found in it; nothing is kept yet";
  tell(`${heading}: ${plural(report.good, "good row")}, ${plural(report.bad, "bad row")}`);
  const accept = el("button", { type: "button", class: "first" }, `Accept ${plural(report.good, "row")}`);
  accept.addEventListener("click", () => sent(accept, found, { file, kind: report.kind, dry_run: false }));
  return section(heading,
    report.kept && el("p", { class: "box good" }, "It is on disk, and becomes facts with the next run. A file that is sent twice counts once."),
    cards([
      ["Rows", count(report.rows), file.name],
      ["Good", count(report.good), "are read"],
      ["Bad", count(report.bad), report.bad ? "are kept apart, with the reason" : "none"],
      ["Left out", count(report.ignored), "as the settings say"],
      ["Days", count(report.days_touched), days],
    ]),
    report.reasons.length > 0 && table([
      { title: "What is wrong", row: true, cell: (each) => each.reason },
      { title: "Rows", number: true, cell: (each) => count(each.rows) },
      { title: "Which", cell: (each) => each.numbers.join(", ") },
      { title: "The first of them", narrow: false, cell: (each) => (each.example ? JSON.stringify(each.example) : NONE) },
    ], report.reasons, { caption: "What is wrong with bad rows" }),
    !report.kept && el("p", {}, accept));
}
