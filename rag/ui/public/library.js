// The page of documents: what is there, adding by button and drop with progress, removing, sharing; users for admins.
"use strict";

const language = (navigator.languages || []).map((tag) => tag.slice(0, 2)).find((tag) => tag in TEXTS) || "en";
const PAGE = 50;
const POLL = 700; // milliseconds between two looks at an upload

let me = {};
let collections = [];
let current = null;
let shown = 0;
const followed = new Map(); // the uploads that are on their way in, by the ids of their jobs

const find = (id) => document.getElementById(id);

function text(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** An element with attributes, listeners (`onclick`) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== ""));
  return element;
}

async function ask(method, path, body) {
  const options = { method, headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body) };
  const response = await fetch(`/library/${path}`, options);
  if (response.status === 401) location.href = "/login";
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ? answer.error.message : response.statusText);
  return answer;
}

/** Run what a button does; what goes wrong is shown above the list. */
async function attempt(work) {
  notice("");
  try {
    return await work();
  } catch (error) {
    notice(error instanceof TypeError ? text("lost") : error.message);
    return undefined;
  }
}

function notice(words, isGood = false) {
  find("notice").className = isGood ? "good" : "";
  find("notice").textContent = words;
  find("notice").hidden = !words;
}

/** Ask in a dialog; the value of `body`'s form fields is read by the caller. True when it was confirmed. */
function confirmed(title, body, yes, isDangerous) {
  const dialog = find("dialog");
  find("dialog-title").textContent = title;
  find("dialog-body").replaceChildren(body);
  find("dialog-yes").textContent = yes;
  find("dialog-yes").className = isDangerous ? "danger" : "primary";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

// ----------------------------------------------------------------------------------------------------------- collections

async function showCollections(wanted) {
  const known = new URLSearchParams(location.hash.slice(1)).get("collection");
  await showCounts(wanted || known);
  await showCollection();
}

async function showCounts(wanted = current && current.id) {
  collections = await ask("GET", "collections");
  current = collections.find((each) => each.id === wanted) || collections[0] || null;
  find("collections").replaceChildren(...collections.map((each) => make("li", {},
    make("button", { "aria-current": String(each === current), onclick: () => attempt(() => choose(each)) },
      make("span", { class: "name" }, each.owner ? `${each.title} (${each.owner})` : each.title), make("span", { class: "count" }, String(each.documents))))));
}

async function choose(collection) {
  location.hash = `collection=${collection.id}`;
  find("search").value = "";
  await showCollections(collection.id);
}

function whoReads(collection) {
  if (collection.public) return text("everybody");
  if (!collection.may_manage) return text("sharedWithYou");
  if (collection.readers.length) return text("sharedWith", { names: collection.readers.join(", ") });
  return me.name ? text("onlyYou") : text("onlyMachine");
}

async function showCollection() {
  find("people").hidden = true;
  find("collection").hidden = false;
  find("title").textContent = current ? current.title : "";
  find("who").textContent = current ? whoReads(current) : "";
  find("upload").hidden = !current || !current.may_write;
  const actions = [];
  if (current && current.may_manage) {
    if (me.name) actions.push(make("button", { onclick: () => attempt(changeReaders) }, text("share")));
    if (!current.is_default) {
      actions.push(make("button", { onclick: () => attempt(rename) }, text("rename")));
      actions.push(make("button", { class: "danger", onclick: () => attempt(deleteCollection) }, text("deleteCollection")));
    }
  }
  find("collection-actions").replaceChildren(...actions);
  find("uploads").replaceChildren();
  followed.clear();
  await showDocuments();
  if (!current || !current.may_write) return;
  const jobs = await ask("GET", `collections/${current.id}/jobs`);
  for (const job of jobs.filter((each) => ["queued", "running", "failed"].includes(each.state)).reverse()) follow(job, current);
}

async function rename() {
  const field = make("input", { value: current.title, maxlength: 256, required: true, "aria-label": text("name") });
  if (!(await confirmed(text("rename"), field, text("save")))) return;
  await ask("PATCH", `collections/${current.id}`, { title: field.value });
  await showCollections(current.id);
}

async function changeReaders() {
  const others = me.users.filter((name) => name !== me.name);
  const everybody = make("input", { type: "checkbox", checked: current.public });
  const boxes = others.map((name) => make("input", { type: "checkbox", value: name, checked: current.readers.includes(name) }));
  const body = make("div", {}, make("label", { class: "check" }, everybody, make("span", {}, text("everybodyLabel"))),
    make("div", { class: "people" }, ...boxes.map((box) => make("label", { class: "check" }, box, make("span", {}, box.value)))),
    others.length ? "" : text("nobodyElse"));
  if (!(await confirmed(text("share"), body, text("save")))) return;
  const readers = boxes.filter((box) => box.checked).map((box) => box.value);
  await ask("PATCH", `collections/${current.id}`, { readers, public: everybody.checked });
  await showCollections(current.id);
}

async function deleteCollection() {
  const title = text("deleteCollectionTitle", { name: current.title, n: current.documents });
  if (!(await confirmed(title, make("p"), text("deleteCollection"), true))) return;
  await ask("DELETE", `collections/${current.id}`);
  await showCollections();
}

// ------------------------------------------------------------------------------------------------------------- documents

async function showDocuments(isMore = false) {
  if (!current) return;
  const collection = current;
  const containing = find("search").value.trim();
  const query = new URLSearchParams({ containing, limit: PAGE, offset: isMore ? shown : 0 });
  const { documents, total } = await ask("GET", `collections/${collection.id}/documents?${query}`);
  if (collection !== current || containing !== find("search").value.trim()) return; // a later question overtook this one
  const rows = documents.map(row);
  if (isMore) find("documents").append(...rows);
  else find("documents").replaceChildren(...rows);
  shown = (isMore ? shown : 0) + documents.length;
  find("more").hidden = shown >= total;
  if (!total) {
    const words = containing ? text("nothingFound", { text: containing }) : text(collection.may_write ? "empty" : "emptyReader");
    find("documents").append(make("p", { class: "empty" }, words));
  }
}

function row(found) {
  const facts = [found.title === found.file ? "" : found.file, count("page", found.pages), count("passage", found.passages), size(found.size),
    new Date(found.changed).toLocaleDateString(language), found.status === "partial" ? text("partly") : ""];
  const actions = [];
  if (current.may_write) {
    if (!found.is_upload) actions.push(make("button", { onclick: () => attempt(() => readAgain(found)) }, text("again")));
    actions.push(make("button", { class: "danger", onclick: () => attempt(() => deleteDocument(found)) }, text("delete")));
  }
  const address = `/view/${found.id}`;
  return make("article", {},
    make("div", { class: "about" },
      make("a", { class: "title", href: address, target: "_blank", rel: "noopener", title: found.source }, found.title || found.file),
      make("div", { class: "facts" }, facts.filter(Boolean).join(" · ")),
      found.error ? make("div", { class: "failed" }, found.error) : null),
    make("div", { class: "actions" }, ...actions));
}

const count = (key, n) => (n === 1 ? text(key) : n ? text(`${key}s`, { n: n.toLocaleString(language) }) : "");

function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  const step = Math.min(units.length - 1, bytes ? Math.floor(Math.log10(bytes) / 3) : 0);
  return `${(bytes / 1000 ** step).toLocaleString(language, { maximumFractionDigits: 1 })} ${units[step]}`;
}

async function readAgain(found) {
  const report = await ask("POST", `documents/${found.id}/again`);
  notice(report.error ? `${report.error} ${report.hint}` : text(`outcome_${report.outcome}`), !report.error);
  await showDocuments();
}

async function deleteDocument(found) {
  const body = make("p", {}, text("deleteDocumentText"));
  if (!(await confirmed(text("deleteDocument", { name: found.title || found.file }), body, text("delete"), true))) return;
  await ask("DELETE", `documents/${found.id}`);
  await showCollections(current.id);
}

// --------------------------------------------------------------------------------------------------------------- uploads

function line(name) {
  const bar = make("progress", { max: 1, "aria-label": name });
  const state = make("span", { class: "facts" });
  const actions = make("div", { class: "actions" });
  const item = make("li", {}, make("div", { class: "about" }, make("div", {}, name), state), bar, actions);
  find("uploads").prepend(item);
  return { item, bar, state, actions };
}

function upload(file, collection) {
  const { item, bar, state } = line(file.name);
  const failed = (words) => fail(item, bar, state, words);
  if (file.size > me.max_upload_mb * 1024 * 1024) return failed(text("tooLarge", { name: file.name, n: me.max_upload_mb }));
  const request = new XMLHttpRequest(); // unlike fetch, it tells how far an upload is
  request.open("POST", `/library/collections/${collection.id}/files`);
  request.upload.onprogress = (event) => { bar.value = event.loaded / event.total; };
  request.onerror = () => failed(text("lost"));
  request.onload = () => {
    let body = {};
    try { body = JSON.parse(request.responseText); } catch { /* a proxy's page */ }
    if (request.status !== 200) return failed(body.error ? body.error.message : request.statusText);
    item.remove();
    return follow(body, collection);
  };
  state.textContent = text("sending");
  const form = new FormData();
  form.append("file", file);
  request.send(form);
  return undefined;
}

function fail(item, bar, state, words) {
  bar.remove();
  state.className = "failed";
  state.textContent = words;
  item.append(make("button", { onclick: () => item.remove() }, text("close")));
}

/** Show how far a job is until it is over: `poll` looks at all of them at once. */
function follow(job, collection) {
  const parts = line(job.name);
  if (job.state === "failed") return fail(parts.item, parts.bar, parts.state, job.error);
  parts.bar.removeAttribute("value");
  parts.actions.append(make("button", { onclick: () => attempt(() => ask("DELETE", `collections/${collection.id}/jobs/${job.id}`)) }, text("cancel")));
  followed.set(job.id, { ...parts, collection });
  progress(job);
  if (followed.size === 1) poll();
  return undefined;
}

function progress(job) {
  const { item, bar, state, actions } = followed.get(job.id);
  if (job.state === "queued") state.textContent = text("waiting");
  else if (job.state === "running") state.textContent = text("reading", { n: job.passages });
  else {
    followed.delete(job.id);
    actions.remove();
    if (job.state === "failed") fail(item, bar, state, job.error);
    else item.remove();
  }
}

async function poll() {
  while (followed.size) {
    await new Promise((resolve) => setTimeout(resolve, POLL));
    const before = followed.size;
    for (const collection of new Set([...followed.values()].map((each) => each.collection))) {
      try {
        for (const job of await ask("GET", `collections/${collection.id}/jobs`)) if (followed.has(job.id)) progress(job);
      } catch (error) { // the server is away: it goes on with the jobs when it is back
        for (const { state } of followed.values()) state.textContent = error instanceof TypeError ? text("lost") : error.message;
      }
    }
    if (followed.size < before) await attempt(() => showDocuments());
  }
  if (current) await attempt(() => showCounts());
}

// ----------------------------------------------------------------------------------------------------------------- users

async function showPeople() {
  find("collection").hidden = true;
  find("people").hidden = false;
  const users = await ask("GET", "users");
  find("users").replaceChildren(...users.map((user) => make("li", {},
    make("div", {}, user.name, " ", make("span", { class: "facts" },
      [user.is_admin ? text("admin") : "", user.has_password ? "" : text("noPassword")].filter(Boolean).join(", "))),
    make("div", { class: "actions" },
      make("button", { onclick: () => attempt(() => changePassword(user)) }, text("newPassword")),
      user.name === me.name ? null : make("button", { onclick: () => attempt(() => changeAdmin(user)) }, text(user.is_admin ? "noAdmin" : "makeAdmin")),
      user.name === me.name ? null : make("button", { class: "danger", onclick: () => attempt(() => deleteUser(user)) }, text("delete"))))));
}

async function changePassword(user) {
  const field = make("input", { type: "password", minlength: 8, required: true, autocomplete: "new-password", "aria-label": text("newPassword") });
  if (!(await confirmed(`${text("newPassword")}: ${user.name}`, field, text("save")))) return;
  await ask("PATCH", `users/${encodeURIComponent(user.name)}`, { password: field.value });
  await showPeople();
}

async function changeAdmin(user) {
  await ask("PATCH", `users/${encodeURIComponent(user.name)}`, { is_admin: !user.is_admin });
  await showPeople();
}

async function deleteUser(user) {
  const body = make("p", {}, text("deleteUserText", { name: user.name }));
  if (!(await confirmed(text("deleteUser", { name: user.name }), body, text("delete"), true))) return;
  await ask("DELETE", `users/${encodeURIComponent(user.name)}`);
  await showPeople();
}

// ----------------------------------------------------------------------------------------------------------------- begin

function listen() {
  let typing;
  find("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => attempt(() => showDocuments()), 200); });
  find("more").addEventListener("click", () => attempt(() => showDocuments(true)));
  find("files").addEventListener("change", (event) => {
    for (const file of event.target.files) upload(file, current);
    event.target.value = "";
  });
  find("new-collection").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const made = await ask("POST", "collections", { title: find("new-title").value });
      find("new-title").value = "";
      await choose(made);
    });
  });
  find("to-people").addEventListener("click", () => attempt(showPeople));
  find("log-out").addEventListener("click", () => attempt(async () => {
    await ask("DELETE", "me/sessions");
    location.href = "/login";
  }));
  find("new-user").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const [name, password, is_admin] = [find("user-name").value, find("user-password").value, find("user-admin").checked];
      await ask("POST", "users", { name, password, is_admin });
      event.target.reset();
      await showPeople();
    });
  });
  const accepts = (event) => current && current.may_write && [...event.dataTransfer.types].includes("Files");
  let depth = 0;
  document.addEventListener("dragenter", (event) => { if (accepts(event)) { depth += 1; find("drop").hidden = false; } });
  document.addEventListener("dragleave", (event) => { if (accepts(event)) { depth -= 1; find("drop").hidden = depth <= 0; } });
  document.addEventListener("dragover", (event) => { if (accepts(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!accepts(event)) return;
    event.preventDefault();
    depth = 0;
    find("drop").hidden = true;
    for (const file of event.dataTransfer.files) upload(file, current);
  });
}

async function begin() {
  document.documentElement.lang = language;
  document.title = `${text("pageTitle")} · Footnote`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = text(element.dataset.placeholder);
  listen();
  await attempt(async () => {
    me = await ask("GET", "me");
    find("files").accept = me.suffixes.join(",");
    find("to-people").hidden = !me.is_admin;
    find("log-out").hidden = !me.name;
    await showCollections();
  });
}

begin();
