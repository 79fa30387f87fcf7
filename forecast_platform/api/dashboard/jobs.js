// Jobs: forecasts and backfills that somebody asked for, the form to ask for one, and one job with its batches.

import { el, field, section, select, table, tell } from "./elements.js";
import { count, longDay, moment, NONE, plural, plusDays, shortDay, words } from "./format.js";
import { problem } from "./loading.js";
import { changed, confirmed, follow, watch } from "./live.js";
import { ask } from "./requests.js";

const FINAL = ["completed", "failed", "cancelled"];
const TAGS = { completed: "good", failed: "bad", cancelled: "warn", processing: "", queued: "" };
const A_PAGE = 25;

const tag = (status) => el("span", { class: `tag ${TAGS[status] ?? ""}` }, words(status));
const over = (job) => FINAL.includes(job.status);

export function jobsPage(at) {
  const list = el("div", {});
  follow(at);
  watch(list, () => ask("list_jobs", { query: { limit: A_PAGE, cursor: at.query.get("cursor") }, signal: at.signal }), listed, at);
  return { title: "Jobs", parts: [section("Ask for a forecast", jobForm(at)), section("Jobs, the newest first", list)] };
}

function listed(answer) {
  if (!answer.items.length) return el("p", { class: "note" }, "Nobody has asked for a job yet. What the platform makes by itself is not listed here.");
  const columns = [
    { title: "Days", row: true, cell: (job) => el("a", { href: `#/jobs/${job.job_id}` }, days(job)) },
    { title: "What", cell: (job) => [job.kind, job.reason && el("span", { class: "why" }, job.reason)] },
    { title: "Status", cell: (job) => tag(job.status) },
    { title: "Batches done", number: true, cell: (job) => `${done(job)} of ${all(job)}` },
    { title: "Series", number: true, narrow: false, cell: (job) => count(job.series) },
    { title: "Rows", number: true, narrow: false, cell: (job) => count(job.rows) },
    { title: "Asked for", narrow: false, cell: (job) => [moment(job.created_at), el("span", { class: "why" }, job.requested_by)] },
  ];
  const next = answer.next_cursor && el("p", { class: "pages" },
    el("a", { href: `#/jobs?cursor=${encodeURIComponent(answer.next_cursor)}` }, "Older jobs"));
  return [table(columns, answer.items, { caption: "Table of jobs" }), next];
}

const days = (job) => (job.first_day === job.last_day ? longDay(job.first_day) : `${shortDay(job.first_day)} to ${longDay(job.last_day)}`);
const all = (job) => Object.values(job.batches).reduce((sum, each) => sum + each, 0);
const done = (job) => FINAL.reduce((sum, status) => sum + (job.batches[status] ?? 0), 0);

function jobForm(at) {
  const yesterday = plusDays(at.me.today, -1);
  const day = { type: "date", required: true, min: at.me.start, max: yesterday, value: yesterday };
  const form = {
    kind: select([["forecast", "forecasts of these days"], ["backfill", "facts first, then forecasts"]], "forecast"),
    first: el("input", day), last: el("input", day),
    which: select([["all", "all"], ["skus", "some SKUs"], ["first", "the first few"]], "all"),
    skus: el("textarea", { rows: 3, spellcheck: "false" }),
    few: el("input", { type: "number", min: 1, value: 100 }),
    models: el("select", { multiple: true, size: Math.min(at.me.models.length, 6) }, at.me.models.map((name) => el("option", { value: name }, name))),
    reason: el("input", { maxlength: 300 }),
  };
  const told = el("div", { role: "alert" });
  const some = { skus: field("SKUs, one a line", form.skus), first: field("How many series", form.few) };
  const follow = () => Object.entries(some).forEach(([name, each]) => (each.hidden = form.which.value !== name));
  const onlyForecasts = [field("Series", form.which), field("Models", form.models, "None chosen: all of them.")];
  form.which.addEventListener("change", follow);
  form.kind.addEventListener("change", () => {
    for (const each of onlyForecasts) each.hidden = form.kind.value === "backfill";
    if (form.kind.value === "backfill") form.which.value = "all";
    follow();
  });
  follow();
  return el("form", { class: "fields", onsubmit: (event) => submitted(event, form, told, at) },
    field("What", form.kind), field("First day", form.first), field("Last day", form.last),
    onlyForecasts, Object.values(some), field("Why", form.reason, "For who looks at it later."),
    el("p", {}, el("button", { type: "submit", class: "first" }, "Start the job")), told);
}

async function submitted(event, form, told, at) {
  event.preventDefault();
  const button = event.submitter ?? event.target.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const job = await ask("create_job", { body: wanted(form) });
    at.go(`/jobs/${job.job_id}`);
  } catch (error) {
    told.replaceChildren(problem(error));
  } finally {
    button.disabled = false;
  }
}

function wanted(form) {
  const body = { kind: form.kind.value, first_day: form.first.value, last_day: form.last.value };
  if (form.which.value === "skus") body.skus = form.skus.value.split("\n").map((each) => each.trim()).filter(Boolean);
  if (form.which.value === "first") body.first_series = Number(form.few.value);
  const models = [...form.models.selectedOptions].map((each) => each.value);
  if (models.length && body.kind === "forecast") body.models = models;
  if (form.reason.value.trim()) body.reason = form.reason.value.trim();
  return body;
}

export function jobPage(at) {
  const [id] = at.parameters;
  const head = el("div", {}), batches = el("div", {}), acts = el("p", {}), told = el("div", { role: "alert" });
  const path = { job_id: id };
  let before = null;
  const drawHead = (job) => {
    if (before !== null && before !== job.status) tell(`The job is ${words(job.status)}`);
    before = job.status;
    acts.replaceChildren(...(over(job) ? [] : [cancelButton(at, path, told)]));
    return overview(job);
  };
  const options = { path, signal: at.signal };
  follow(at);
  watch(head, () => ask("get_job", options), drawHead, { ...at, over, missing: "There is no such job." });
  watch(batches, () => ask("list_job_batches", { ...options, query: { limit: 200 } }), (answer) => batchTable(at, path, answer, told), {
    ...at, over: (answer) => answer.items.every(over), missing: "There is no such job.",
  });
  return { title: "Job", parts: [el("p", {}, el("a", { href: "#/jobs" }, "All jobs")), section(id, head, acts, told), section("Batches", batches)] };
}

function overview(job) {
  return [
    el("p", {}, tag(job.status), ` ${job.kind} of ${days(job)}, ${plural(job.series, "series", "series")}`, job.models && `, ${job.models.join(", ")}`),
    job.reason && el("p", {}, job.reason),
    el("progress", { max: Math.max(all(job), 1), value: done(job), "aria-label": "Batches that are over" }),
    el("p", { class: "note" },
      `${done(job)} of ${plural(all(job), "batch", "batches")} over, ${plural(job.rows, "row")} of forecasts appended. Asked for by ${job.requested_by} on ${moment(job.created_at)}`,
      job.started_at && `, begun ${moment(job.started_at)}`, job.ended_at && `, ended ${moment(job.ended_at)}`, "."),
    job.error && el("p", { class: "box bad" }, job.error),
  ];
}

function cancelButton(at, path, told) {
  const cancel = async () => {
    if (!(await confirmed("End this job? What it has committed stays.", "End it", "Let it go on"))) return;
    try {
      await ask("cancel_job", { path });
      tell("The job is cancelled");
      changed();
    } catch (error) {
      told.replaceChildren(problem(error));
    }
  };
  return el("button", { type: "button", onclick: cancel }, "Cancel the job");
}

function batchTable(at, path, answer, told) {
  if (!answer.items.length) return el("p", { class: "note" }, "It has no batches.");
  const many = answer.next_cursor && el("p", { class: "note" }, `The first ${answer.items.length} are shown.`);
  return [table([
    { title: "Days", row: true, cell: (each) => [days(each), el("span", { class: "why" }, named(each))] },
    { title: "Status", cell: (each) => [tag(each.status), each.error && el("span", { class: "why bad" }, each.error)] },
    { title: "Stage", cell: (each) => words(each.stage) },
    { title: "Series", number: true, narrow: false, cell: (each) => count(each.series) },
    { title: "Rows", number: true, narrow: false, cell: (each) => count(each.rows) },
    { title: "Began", narrow: false, cell: (each) => moment(each.started_at) },
    { title: "Ended", narrow: false, cell: (each) => moment(each.ended_at) },
    answer.items.some(lost) && { title: "Again", cell: (each) => (lost(each) ? retryButton(at, path, each, told) : null) },
  ].filter(Boolean), answer.items, { caption: "Batches of the job" }), many];
}

const lost = (batch) => ["failed", "cancelled"].includes(batch.status);

function named(batch) {
  const [first, last] = [batch.series_names[0], batch.series_names.at(-1)].map((each) => each?.join(" in "));
  if (!first) return NONE;
  return batch.series <= 1 ? first : `${first} to ${batch.series > batch.series_names.length ? "…" : last}`;
}

function retryButton(at, path, batch, told) {
  const retry = async () => {
    try {
      const job = await ask("retry_job_batch", { path: { ...path, batch_id: batch.batch_id } });
      at.go(`/jobs/${job.job_id}`);
    } catch (error) {
      told.replaceChildren(problem(error));
    }
  };
  return el("button", { type: "button", onclick: retry, "aria-label": `Try ${days(batch)} again` }, "Try again");
}
