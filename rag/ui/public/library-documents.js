// The documents of a collection as a table: sorted by any column, filtered, searched in titles, names and contents, read on
// as one scrolls; what is ticked is indexed anew or deleted together.
"use strict";

const PAGE = 50; // documents asked for at once
const COLUMNS = ["title", "type", "pages", "size", "added", "status"];
const TYPES = { // media types by the names that people have for them; others by the end of the media type
  "application/pdf": "PDF", "text/plain": "Text", "text/html": "HTML", "text/markdown": "Markdown", "text/csv": "CSV", "message/rfc822": "Mail",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word", "application/msword": "Word",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel", "application/vnd.ms-excel": "Excel",
  "application/epub+zip": "EPUB", "application/vnd.oasis.opendocument.text": "OpenDocument", "application/octet-stream": "…",
};
const ticked = new Map(); // the documents that are ticked, by id
let order = { by: "added", descending: true };
let shown = 0;

const typeOf = (mediaType) => TYPES[mediaType] || mediaType.split("/").pop();
const suffixOf = (file) => (/\.([^./]{1,8})$/.exec(file) || ["", "…"])[1].toUpperCase();
const dateOf = (time) => new Date(time).toLocaleDateString(language, { dateStyle: "medium" });
const count = (key, n) => (n === 1 ? text(key) : n ? text(`${key}s`, { n: n.toLocaleString(language) }) : "");

function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  const step = Math.min(units.length - 1, bytes ? Math.floor(Math.log10(bytes) / 3) : 0);
  return `${(bytes / 1000 ** step).toLocaleString(language, { maximumFractionDigits: 1 })} ${units[step]}`;
}

function clearFilters() {
  for (const id of ["search", "status", "type"]) find(id).value = "";
}

/** What is asked for; empty filters are left out. */
function query() {
  const wanted = { containing: find("search").value.trim(), status: find("status").value, media_type: find("type").value };
  const filters = Object.entries(wanted).filter(([, value]) => value);
  return new URLSearchParams([...filters, ["order", order.by], ["descending", order.descending], ["limit", PAGE]]);
}

async function showDocuments(isMore = false) {
  if (!current) return;
  const collection = current;
  const asked = query();
  const offset = isMore ? shown : 0;
  const { documents, total, types } = await ask("GET", `collections/${collection.id}/documents?${asked}&offset=${offset}`);
  if (collection !== current || String(asked) !== String(query())) return; // a later question overtook this one
  if (!isMore) tick([]);
  const rows = documents.map(row);
  if (isMore) find("rows").append(...rows);
  else find("rows").replaceChildren(...rows);
  shown = offset + documents.length;
  find("more").hidden = shown >= total;
  const isFiltered = asked.has("containing") || asked.has("status") || asked.has("media_type");
  find("total").textContent = isFiltered && total ? count("document", total) : "";
  find("documents").hidden = !total;
  find("empty").hidden = Boolean(total);
  if (!total) find("empty").textContent = nothing(collection, asked, isFiltered);
  offerTypes(types);
  showOrder();
}

function nothing(collection, asked, isFiltered) {
  if (asked.has("containing")) return text("nothingFound", { text: asked.get("containing") });
  if (isFiltered) return text("nothingSuch");
  return text(collection.may_write ? "empty" : "emptyReader");
}

function offerTypes(types) {
  const select = find("type");
  const chosen = select.value;
  const options = Object.entries(types).map(([mediaType, n]) => make("option", { value: mediaType }, `${typeOf(mediaType)} (${n.toLocaleString(language)})`));
  select.replaceChildren(make("option", { value: "" }, text("allTypes")), ...options);
  select.value = chosen;
  find("filters").hidden = !Object.keys(types).length;
}

// ------------------------------------------------------------------------------------------------------------------ rows

function row(found) {
  const name = found.title || found.file;
  const box = current.may_write
    ? make("input", { type: "checkbox", "aria-label": text("select", { name }), onchange: (event) => tickOne(found, event.target.checked) })
    : null;
  const title = make("a", { class: "title", href: `/view/${found.id}`, target: "_blank", rel: "noopener", title: found.source }, name);
  const actions = [];
  if (current.may_write) {
    if (!found.is_upload) actions.push(make("button", { onclick: () => attempt(() => indexAgain([found])) }, text(found.status === "failed" ? "retry" : "again")));
    actions.push(make("button", { class: "danger", onclick: () => attempt(() => deleteDocuments([found])) }, text("delete")));
  }
  const cell = (kind, ...content) => make("td", { class: kind, "data-name": text(`column_${kind}`) }, ...content);
  return make("tr", { "data-id": found.id },
    make("td", { class: "select" }, box),
    make("td", { class: "name" }, title, details(found, name), found.error ? make("div", { class: "failed" }, found.error) : null),
    cell("type", suffixOf(found.file)),
    cell("pages", found.pages ? found.pages.toLocaleString(language) : "–"),
    cell("size", size(found.size)),
    cell("added", dateOf(found.added)),
    cell("status", make("span", { class: `state ${found.status}` }, text(`status_${found.status}`))),
    make("td", { class: "act" }, make("div", { class: "actions" }, ...actions)));
}

/** The file's name, which opens on all that is known of the document. */
function details(found, name) {
  const facts = [["file", found.file], ["place", found.is_upload ? text("uploaded") : found.source], ["column_pages", found.pages.toLocaleString(language)],
    ["passagesRead", found.passages.toLocaleString(language)], ["indexed", new Date(found.changed).toLocaleString(language)]];
  const own = Object.entries(found.attributes || {}).map(([key, value]) => [key, String(value)]);
  const list = [...facts.map(([key, value]) => [text(key), value]), ...own].flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]);
  return make("details", { class: "facts" }, make("summary", {}, found.file === name ? text("details") : found.file), make("dl", {}, ...list));
}

function showOrder() {
  for (const head of document.querySelectorAll("#documents th[data-column]")) {
    const isIt = head.dataset.column === order.by;
    if (isIt) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  find("order").value = order.by;
}

async function orderBy(column) {
  const isAgain = order.by === column;
  order = { by: column, descending: isAgain ? !order.descending : ["pages", "size", "added"].includes(column) };
  await showDocuments();
}

// ---------------------------------------------------------------------------------------------------------- what is ticked

function tick(documents) {
  ticked.clear();
  for (const found of documents) ticked.set(found.id, found);
  showTicked();
}

function tickOne(found, isOn) {
  if (isOn) ticked.set(found.id, found);
  else ticked.delete(found.id);
  showTicked();
}

function showTicked() {
  const boxes = [...document.querySelectorAll("#rows .select input")];
  for (const box of boxes) box.checked = ticked.has(box.closest("tr").dataset.id);
  find("selection").hidden = !ticked.size;
  find("selected").textContent = text("selected", { n: ticked.size.toLocaleString(language) });
  find("selected-again").hidden = ![...ticked.values()].some((found) => !found.is_upload);
  find("all").checked = Boolean(boxes.length) && boxes.every((box) => box.checked);
  find("all").indeterminate = !find("all").checked && ticked.size > 0;
  find("all").hidden = !current || !current.may_write;
}

/** One after the other; how far it is stands above the table. */
async function each(documents, work) {
  for (const [place, found] of documents.entries()) {
    if (documents.length > 1) notice(text("working", { done: place, n: documents.length }), true);
    await work(found);
  }
}

async function indexAgain(documents) {
  const reports = [];
  await each(documents.filter((found) => !found.is_upload), async (found) => {
    reports.push(await ask("POST", `documents/${found.id}/again`));
  });
  const failed = reports.filter((report) => report.error);
  const words = failed.length ? `${failed[0].error} ${failed[0].hint}` : text(`outcome_${reports[0].outcome}`);
  notice(reports.length > 1 ? `${text("working", { done: reports.length - failed.length, n: reports.length })} ${failed.length ? words : ""}` : words, !failed.length);
  await showDocuments();
}

async function deleteDocuments(documents) {
  const [first] = documents;
  const title = documents.length > 1 ? text("deleteDocuments", { n: documents.length }) : text("deleteDocument", { name: first.title || first.file });
  if (!(await confirmed(title, make("p", {}, text("deleteDocumentText")), text("delete"), true))) return;
  try {
    await each(documents, (found) => ask("DELETE", `documents/${found.id}`));
    notice("");
  } finally {
    await showCollections(current.id);
  }
}

function listenToTable() {
  let typing;
  find("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => attempt(() => showDocuments()), 200); });
  for (const id of ["status", "type"]) find(id).addEventListener("change", () => attempt(() => showDocuments()));
  for (const column of COLUMNS) find("order").append(make("option", { value: column }, text("sortedBy", { column: text(`column_${column}`) })));
  find("order").addEventListener("change", (event) => attempt(() => orderBy(event.target.value)));
  for (const head of document.querySelectorAll("#documents th[data-column]")) {
    head.append(make("button", { onclick: () => attempt(() => orderBy(head.dataset.column)) }, text(`column_${head.dataset.column}`)));
  }
  find("all").addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("#rows .select input")) if (box.checked !== event.target.checked) box.click();
  });
  find("selected-again").addEventListener("click", () => attempt(() => indexAgain([...ticked.values()])));
  find("selected-delete").addEventListener("click", () => attempt(() => deleteDocuments([...ticked.values()])));
  find("selected-none").addEventListener("click", () => tick([]));
  let isAsking = false;
  const more = () => {
    if (isAsking || find("more").hidden) return;
    isAsking = true;
    attempt(() => showDocuments(true)).finally(() => { isAsking = false; });
  };
  find("more").addEventListener("click", more);
  new IntersectionObserver((seen) => seen.some(({ isIntersecting }) => isIntersecting) && more(), { rootMargin: "600px" }).observe(find("more"));
}
