// The reader: a document with the places that its address names marked (`?page=11&start=30&end=90`, and any number of
// `mark=PAGE:START-END`, or `mark=START-END` where there are no pages). The view of its kind is beside this file.
import { language, text } from "./texts.js";
import { linesView } from "./lines.js";
import { pagesView } from "./pages.js";
import { tableView } from "./table.js";

const VIEWS = { pages: pagesView, table: tableView, lines: linesView, text: linesView };
const find = (id) => document.getElementById(id);
const id = location.pathname.split("/")[2];
const query = new URLSearchParams(location.search);
const view = find("view");

const marks = placesOf(query);
let hits = [];
let current = { mark: -1, hit: -1 };
let shown = null; // the view
let pages = 0;
let zoom = 1;

function placesOf(from) {
  const page = Number(from.get("page")) || null;
  const wanted = from.has("start") ? [{ page, start: Number(from.get("start")), end: Number(from.get("end")), check: from.get("check") }] : [];
  for (const words of from.getAll("mark")) {
    const [, ofPage, start, end] = words.match(/^(?:(\d+):)?(\d+)-(\d+)$/) || [];
    if (end) wanted.push({ page: ofPage ? Number(ofPage) : null, start: Number(start), end: Number(end) });
  }
  return wanted.filter(({ start, end }) => end > start).map((place, index) => ({ ...place, kind: "mark", id: `mark-${index}`,
    holds: (quote) => Boolean(quote) && (!place.check || place.check === checkOf(quote)) }));
}

/** What the opener of a citation adds to the address, so that a document which has changed since is noticed. */
function checkOf(quote) {
  let sum = 7;
  for (const character of quote) sum = (Math.imul(sum, 31) + character.codePointAt(0)) | 0;
  return String(sum >>> 0);
}

async function ask(path) {
  const answer = await fetch(`/view/${id}/${path}`);
  if (answer.status === 401 && window === window.top) location.href = "/login";
  if (!answer.ok) throw new Error(text("missing"));
  return answer.json();
}

function warn(key) {
  find("notice").textContent = text(key);
  find("notice").hidden = false;
}

function onPage(number) {
  if (document.activeElement !== find("page")) find("page").value = shown.label(number);
  find("page").dataset.number = number;
  find("pages").textContent = text("of", { n: pages.toLocaleString(language) });
}

function goTo(number) {
  const page = Math.min(Math.max(1, number), pages);
  shown.goTo(page);
  onPage(page);
}

function reveal(kind, step) {
  const list = kind === "mark" ? marks : hits;
  if (!list.length) return;
  current[kind] = (current[kind] + step + list.length) % list.length;
  const place = list[current[kind]];
  shown.reveal(place);
  if (place.page) onPage(place.page);
  const values = { n: current[kind] + 1, total: kind === "hit" && hits.hasMore ? `${hits.length}+` : list.length };
  find(kind === "mark" ? "citation" : "found").textContent = text(kind === "mark" ? "citation" : "found", values);
}

let searched = "";
async function search(step) {
  const containing = find("search").value.trim();
  if (containing === searched) return reveal("hit", step);
  searched = containing;
  const { hits: found, has_more: hasMore } = containing
    ? await ask(`search?${new URLSearchParams({ containing })}`) : { hits: [], has_more: false };
  if (containing !== searched) return undefined; // a later search overtook this one
  hits = found.map((hit, index) => ({ ...hit, kind: "hit", id: `hit-${index}`, holds: () => true }));
  hits.hasMore = hasMore;
  current.hit = -1;
  find("found").textContent = containing && !hits.length ? text("nothing") : "";
  find("previous-hit").disabled = find("next-hit").disabled = !hits.length;
  shown.refresh();
  return reveal("hit", 1);
}

function setZoom(factor) {
  zoom = Math.min(4, Math.max(0.5, zoom * factor));
  const place = view.scrollTop / view.scrollHeight;
  view.style.setProperty("--zoom", zoom);
  view.scrollTop = place * view.scrollHeight;
}

async function copyLink() {
  const address = new URL(location.href);
  if (find("page").dataset.number && !marks.length) address.searchParams.set("page", find("page").dataset.number);
  const link = address.toString();
  if (navigator.clipboard) await navigator.clipboard.writeText(link).catch(() => prompt(text("copy"), link));
  else prompt(text("copy"), link); // the clipboard proper is for https and this machine only
  find("copy").textContent = text("copied");
  setTimeout(() => { find("copy").textContent = text("copy"); }, 2000);
}

function name(element, words) {
  find(element).setAttribute("aria-label", words);
  find(element).title = words;
}

function prepare() {
  document.documentElement.lang = language;
  document.body.classList.toggle("embedded", window !== window.top);
  for (const [element, key] of Object.entries({ home: "library", "previous-citation": "previousCitation", "next-citation": "nextCitation",
    "zoom-in": "zoomIn", "zoom-out": "zoomOut", search: "search", "previous-hit": "previousHit", "next-hit": "nextHit", citations: "citations" })) {
    name(element, text(key));
  }
  find("search").placeholder = text("search");
  find("copy").textContent = text("copy");
  find("download").textContent = text("download");
  find("page-word").textContent = text("page");
  find("previous-citation").onclick = () => reveal("mark", -1);
  find("next-citation").onclick = () => reveal("mark", 1);
  find("previous-hit").onclick = () => search(-1);
  find("next-hit").onclick = () => search(1);
  find("zoom-in").onclick = () => setZoom(1.25);
  find("zoom-out").onclick = () => setZoom(0.8);
  find("copy").onclick = copyLink;
  find("searching").onsubmit = (event) => { event.preventDefault(); search(1).catch((error) => warnOf(error)); };
  find("paging").onsubmit = (event) => {
    event.preventDefault();
    const wanted = find("page").value.trim();
    const printed = Array.from({ length: pages }, (_, index) => index + 1).find((page) => shown.label(page) === wanted);
    if (printed || Number(wanted)) goTo(printed || Number(wanted));
    view.focus({ preventScroll: true });
  };
  find("page").onfocus = () => find("page").select();
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input");
    if ((event.ctrlKey || event.metaKey) && event.key === "f") { event.preventDefault(); find("search").focus(); find("search").select(); }
    else if (event.key === "Escape" && isTyping) view.focus({ preventScroll: true });
    else if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "/") { event.preventDefault(); find("search").focus(); }
    else if (event.key === "n") reveal("mark", 1);
    else if (event.key === "p") reveal("mark", -1);
    else if (event.key === "+") setZoom(1.25);
    else if (event.key === "-") setZoom(0.8);
  });
}

function warnOf(error) {
  find("notice").textContent = error instanceof TypeError ? text("lost") : error.message;
  find("notice").hidden = false;
}

async function open() {
  prepare();
  const contents = await ask("contents");
  const { title, file, has_file: hasFile } = contents;
  document.title = `${title} · Footnote`;
  find("title").textContent = title || file;
  find("title").title = file;
  find("download").hidden = !hasFile;
  find("download").href = `/documents/${id}/source`;
  pages = contents.pages;
  shown = VIEWS[contents.view](view, contents, { address: `/documents/${id}`, places: () => [...marks, ...hits], onPage, warn });
  view.ariaBusy = "false";
  find("paging").hidden = !pages || (contents.view === "table" && shown.count < 2);
  if (contents.view === "table") find("page-word").textContent = text("sheet", { n: "" }).trim();
  find("zooming").hidden = contents.view === "table";
  find("citations").hidden = !marks.length;
  if (marks.length) reveal("mark", 1);
  else if (pages) goTo(Number(query.get("page")) || 1);
  shown.start();
}

open().catch((error) => { view.ariaBusy = "false"; warnOf(error); });
