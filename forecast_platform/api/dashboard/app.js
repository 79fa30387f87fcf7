// The start: who is signed in, the bar, and which page the address asks for. What a page shows is in a file of its own.

import { el, tell } from "./elements.js";
import { useZone } from "./format.js";
import { load } from "./loading.js";
import { ask } from "./requests.js";
import { searchField } from "./search.js";
import { jobPage, jobsPage } from "./jobs.js";
import { credential, forget } from "./session.js";
import { settingsPage } from "./settings.js";
import { signIn } from "./signin.js";
import { skuPage } from "./sku.js";
import { skusPage } from "./skus.js";
import { todayPage } from "./today.js";
import { uploadPage } from "./upload.js";

// Pages by their address after the #. `show` gives the page's heading and its parts, for what is in `at`: the path's
// parameters, the query, who is signed in, how to leave, and the signal that ends with the page. `named` pages stand in the bar.
const mayAskForJobs = (who) => who.scopes.includes("jobs");
const PAGES = [
  { path: /^\/$/, show: todayPage, named: "Today", address: "/" },
  { path: /^\/skus$/, show: skusPage, named: "SKUs", address: "/skus" },
  { path: /^\/skus\/([^/]+)$/, show: skuPage },
  { path: /^\/jobs$/, show: jobsPage, named: "Jobs", address: "/jobs", for: mayAskForJobs },
  { path: /^\/jobs\/(\w+)$/, show: jobPage, for: mayAskForJobs },
  { path: /^\/upload$/, show: uploadPage, named: "Upload", address: "/upload", for: (who) => who.scopes.includes("write") },
  { path: /^\/settings$/, show: settingsPage, named: "Settings", address: "/settings" },
];

const bar = document.getElementById("bar");
const main = document.getElementById("main");
let me = null;
let leaving = new AbortController();

export const skuAddress = (sku) => `#/skus/${encodeURIComponent(sku)}`;

function go(address) {
  window.location.hash = address;
}

function asked() {
  const [path, query] = (window.location.hash.slice(1) || "/").split("?");
  return { path, query: new URLSearchParams(query) };
}

async function start() {
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  window.addEventListener("hashchange", () => (me ? show() : enter()));
  window.addEventListener("signed-out", (event) => leave(event.detail));
  await enter();
}

async function enter() {
  if (!credential()) return askForCredential();
  let found = null;
  await load(main, async () => (found = await ask("get_me")), () => []);
  if (found) entered(found);
}

function askForCredential(reason) {
  bar.hidden = true;
  document.title = "Sign in · Forecasts";
  main.replaceChildren(signIn(entered, reason));
  main.querySelector("#name").focus();
}

function entered(found) {
  me = found;
  useZone(me.timezone);
  drawBar();
  show();
}

function leave(reason) {
  leaving.abort();
  forget();
  me = null;
  askForCredential(reason);
}

// Signing out ends a session for good; a key is only forgotten here.
async function signOut() {
  if (me.name) await ask("sign_out").catch(() => {});
  leave();
}

function drawBar() {
  const named = PAGES.filter((page) => page.named && (page.for?.(me) ?? true));
  const links = named.map((page) => el("li", {}, el("a", { href: `#${page.address}` }, page.named)));
  bar.replaceChildren(
    el("a", { class: "brand", href: "#/" }, el("img", { src: "/dashboard/icon.svg", alt: "", width: 22, height: 22 }), "Forecasts"),
    el("nav", { "aria-label": "Pages" }, el("ul", {}, links)),
    searchField((sku) => go(skuAddress(sku)), (text) => go(`/skus?${me.plans_stock ? "q" : "sku"}=${encodeURIComponent(text)}`)),
    el("p", { class: "who", title: me.subject }, me.tenant),
    el("button", { type: "button", class: "quiet", onclick: signOut }, "Sign out"));
  bar.hidden = false;
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  const { path, query } = asked();
  const page = PAGES.find((each) => each.path.test(path) && (each.for?.(me) ?? true));
  const parameters = page ? page.path.exec(path).slice(1).map(readable) : [];
  const at = { parameters, query, me, signal: leaving.signal, go, again: show, leave: signOut };
  const { title, parts } = page ? page.show(at) : nothing();
  document.title = `${title} · Forecasts`;
  main.replaceChildren(el("h1", { tabindex: -1 }, title), ...parts.flat(Infinity).filter(Boolean));
  for (const link of bar.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${page?.address}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  main.querySelector("h1").focus({ preventScroll: true });
  tell("");
}

const nothing = () => ({ title: "Nothing here", parts: [el("p", {}, "There is no page at this address. ", el("a", { href: "#/" }, "Back to the start"))] });

// A part of the address as it was before it was escaped; as it stands where it never was.
function readable(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

await start();
