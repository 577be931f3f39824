// Adding documents, by button and drop, whole folders too: a few at a time are sent, and what the server does with them
// is shown until it is done. An upload is a job of the server's: it goes on when the page is closed.
"use strict";

const POLL = 700; // milliseconds between two looks at the uploads
const SENT_AT_ONCE = 3;
const WAITING_SHOWN = 5; // of a thousand files, as lines
const DISMISSED = "footnote-dismissed-uploads";
const followed = new Map(); // the uploads that are on their way in, by the ids of their jobs
const toSend = []; // files that wait to be sent, with their collections
let sending = 0;
let batch = { sent: 0, files: 0 };

function line(name) {
  const bar = make("progress", { max: 1, "aria-label": name });
  const state = make("span", { class: "facts" });
  const actions = make("div", { class: "actions" });
  const item = make("li", {}, make("div", { class: "about" }, make("div", {}, name), state), bar, actions);
  find("uploads").prepend(item);
  return { item, bar, state, actions };
}

/** Send these files, a few at a time. */
function send(files, collection) {
  if (!files.length) return;
  if (!sending) batch = { sent: 0, files: 0 };
  batch.files += files.length;
  toSend.push(...files.map((file) => ({ file, collection })));
  sendNext();
}

function sendNext() {
  while (sending < SENT_AT_ONCE && toSend.length) {
    const { file, collection } = toSend.shift();
    sending += 1;
    upload(file, collection).finally(() => {
      sending -= 1;
      batch.sent += 1;
      sendNext();
    });
  }
  showTotal();
}

/** Of many files, one line says how far all of them are; those that wait are counted. */
function showTotal() {
  const queued = [...followed.values()].filter(({ isQueued }) => isQueued);
  queued.forEach(({ item }, place) => { item.hidden = place >= WAITING_SHOWN; });
  const left = [batch.files > 1 && (sending || toSend.length) ? text("sentOf", { n: batch.sent, of: batch.files }) : "",
    queued.length > WAITING_SHOWN ? text("waitingMore", { n: queued.length - WAITING_SHOWN }) : ""];
  find("upload-total").textContent = left.filter(Boolean).join(" · ");
}

/** Send a file; over when it has been received. */
function upload(file, collection) {
  const { item, bar, state } = line(file.name);
  const failed = (words) => fail(item, bar, state, words);
  if (file.size > me.max_upload_mb * 1024 * 1024) return failed(text("tooLarge", { name: file.name, n: me.max_upload_mb }));
  const kind = (/\.[^.]+$/.exec(file.name.toLowerCase()) || [""])[0];
  if (!me.suffixes.includes(kind)) return failed(text("unreadable", { name: file.name }));
  const request = new XMLHttpRequest(); // unlike fetch, it tells how far an upload is
  request.open("POST", `/library/collections/${collection.id}/files`);
  request.upload.onprogress = (event) => { bar.value = event.loaded / event.total; };
  const over = new Promise((resolve) => {
    request.onerror = () => resolve(failed(text("lost")));
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* a proxy's page */ }
      if (request.status !== 200) return resolve(failed(body.error ? body.error.message : request.statusText));
      item.remove();
      return resolve(follow(body, collection));
    };
  });
  state.textContent = text("sending");
  const form = new FormData();
  form.append("file", file);
  request.send(form);
  return over;
}

/** A line that says why a file failed, until somebody has read it: one of a job comes back with the page no more. */
async function fail(item, bar, state, words, jobId) {
  bar.remove();
  item.hidden = false;
  state.className = "failed";
  state.textContent = words;
  item.append(make("button", { onclick: () => { item.remove(); if (jobId) dismiss(jobId); } }, text("dismiss")));
}

const dismissed = () => JSON.parse(localStorage.getItem(DISMISSED) || "[]");
const dismiss = (jobId) => localStorage.setItem(DISMISSED, JSON.stringify([...dismissed(), jobId].slice(-500)));

/** The uploads into this collection that are under way, or failed and were not dismissed. */
async function showUploads() {
  find("uploads").replaceChildren();
  followed.clear();
  showTotal();
  if (!current || !current.may_write) return;
  const jobs = await ask("GET", `collections/${current.id}/jobs`);
  const over = new Set(dismissed());
  const shown = jobs.filter(({ id, state }) => ["queued", "running"].includes(state) || (state === "failed" && !over.has(id)));
  for (const job of shown.reverse()) follow(job, current);
}

/** Show how far a job is until it is over: `poll` looks at all of them at once. */
function follow(job, collection) {
  const parts = line(job.name);
  if (job.state === "failed") return fail(parts.item, parts.bar, parts.state, job.error, job.id);
  parts.bar.removeAttribute("value");
  parts.actions.append(make("button", { onclick: () => attempt(() => ask("DELETE", `collections/${collection.id}/jobs/${job.id}`)) }, text("cancel")));
  followed.set(job.id, { ...parts, collection, isQueued: true });
  progress(job);
  showTotal();
  if (followed.size === 1) poll();
  return undefined;
}

function progress(job) {
  const known = followed.get(job.id);
  const { item, bar, state, actions } = known;
  known.isQueued = job.state === "queued";
  item.hidden = false;
  if (job.state === "queued") state.textContent = text("waiting");
  else if (job.state === "running") state.textContent = text("reading", { n: job.passages });
  else {
    followed.delete(job.id);
    actions.remove();
    if (job.state === "failed") fail(item, bar, state, job.error, job.id);
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
    showTotal();
    if (followed.size < before) await attempt(() => showDocuments());
  }
  if (current) await attempt(() => showCounts());
}

// -------------------------------------------------------------------------------------------------------- what is dropped

/** The files of what was dropped, those in folders included, but for hidden ones and, in folders, kinds nobody can read. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const visit = async (entry, isInside) => {
    if (entry.name.startsWith(".")) return;
    if (entry.isDirectory) {
      const reader = entry.createReader();
      for (let inside = await read(reader); inside.length; inside = await read(reader)) {
        for (const each of inside) await visit(each, true);
      }
    } else if (!isInside || me.suffixes.some((suffix) => entry.name.toLowerCase().endsWith(suffix))) {
      found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    }
  };
  for (const entry of entries) await visit(entry, false);
  return found;
}

const read = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time

function listenToUploads() {
  find("files").addEventListener("change", (event) => {
    send([...event.target.files], current);
    event.target.value = "";
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
    const collection = current;
    attempt(async () => send(await filesOf(event.dataTransfer), collection));
  });
}
