// The page of documents: collections and who may read them, the header, and users for admins. The table of documents is
// in library-documents.js, uploads in library-uploads.js, which come before it; they share these helpers.
"use strict";

const language = (navigator.languages || []).map((tag) => tag.slice(0, 2)).find((tag) => tag in TEXTS) || "en";

let me = {};
let collections = [];
let current = null;

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
  (find("dialog-body").querySelector("input") || find("dialog-yes")).focus(); // Enter is the main action
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
  const filled = collections.find((each) => each.documents); // an admin comes to where the documents are
  current = collections.find((each) => each.id === wanted) || filled || collections[0] || null;
  find("collections").replaceChildren(...collections.map((each) => make("li", {},
    make("button", { "aria-current": String(each === current), onclick: () => attempt(() => choose(each)) },
      make("span", { class: "name" }, each.owner ? `${each.title} (${each.owner})` : each.title), make("span", { class: "count" }, String(each.documents))))));
}

async function choose(collection) {
  location.hash = `collection=${collection.id}`;
  clearFilters();
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
  await showDocuments();
  await showUploads();
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

// ----------------------------------------------------------------------------------------------------------------- users

async function showPeople() {
  find("menu").open = false;
  find("collection").hidden = true;
  find("people").hidden = false;
  const users = await ask("GET", "users");
  find("users").replaceChildren(...users.map((user) => make("li", {},
    make("div", {}, user.name, " ", make("span", { class: "facts" },
      [user.is_admin ? text("admin") : "", user.has_password ? "" : text("noPassword"), count("document", user.documents)].filter(Boolean).join(" · "))),
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
  listenToTable();
  listenToUploads();
  find("dialog-no").addEventListener("click", () => find("dialog").close("cancel"));
  find("new-collection").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const made = await ask("POST", "collections", { title: find("new-title").value });
      find("new-title").value = "";
      await choose(made);
    });
  });
  find("to-people").addEventListener("click", () => attempt(showPeople));
  find("sign-out").addEventListener("click", () => attempt(async () => {
    await fetch("/logout", { method: "POST" });
    location.href = "/login";
  }));
  find("sign-out-all").addEventListener("click", () => attempt(async () => {
    await ask("DELETE", "me/sessions");
    location.href = "/login";
  }));
  find("theme").value = chosenTheme();
  find("theme").addEventListener("change", (event) => chooseTheme(event.target.value));
  document.addEventListener("click", (event) => { if (!event.target.closest("#menu")) find("menu").open = false; });
  find("menu").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    find("menu").open = false;
    find("menu").querySelector("summary").focus();
  });
  find("new-user").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const [name, password, is_admin] = [find("user-name").value, find("user-password").value, find("user-admin").checked];
      await ask("POST", "users", { name, password, is_admin });
      event.target.reset();
      await showPeople();
    });
  });
}

async function begin() {
  document.documentElement.lang = language;
  document.title = `${text("pageTitle")} · Footnote`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = text(element.dataset.placeholder);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", text(element.dataset.label));
  listen();
  await attempt(async () => {
    me = await ask("GET", "me");
    find("files").accept = me.suffixes.join(",");
    find("to-people").hidden = !me.is_admin;
    find("who-am-i").textContent = me.name;
    for (const id of ["who-am-i", "sign-out", "sign-out-all"]) find(id).hidden = !me.name;
    find("initial").textContent = (me.name || "L").slice(0, 1).toUpperCase();
    await showCollections();
  });
}

begin();
