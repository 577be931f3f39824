// Rows of a sheet as a table again: each line of its text is a row that names its columns (`Article: P-200; Price: 9`).
// Only the rows in sight are in the page, so a sheet may have a hundred thousand.
import { language, make, text } from "./texts.js";

const ROW = 36; // pixels; the style sheet's, too
const SPARE = 10; // rows above and below those in sight
const SAMPLE = 500; // rows from which columns and their widths are told
const SEPARATOR = "; ";

export function tableView(view, contents, { places, warn, onPage }) {
  const texts = new Map();
  contents.sections.forEach((section) => texts.set(section.page, (texts.get(section.page) || "") + section.text));
  const marks = places().filter((place) => place.kind === "mark");
  for (const place of marks) {
    place.isGone = !place.holds((texts.get(place.page) || "").slice(place.start, place.end));
    if (place.isGone) warn("changed");
  }
  const sheets = new Map([...texts].map(([page, words]) => [page, parsed(words)]));
  const wide = make("div", { class: "rows", role: "region", tabindex: "0", "aria-label": contents.title });
  let sheet = null; // {page, columns, rows, order, sorted, isDown}
  let body = null;
  view.classList.add("table");
  view.replaceChildren(wide);

  function open(page) {
    if (sheet && sheet.page === page) return;
    const { columns, rows } = sheets.get(page);
    sheet = { page, columns, rows, order: rows.map((_, index) => index), sorted: null, isDown: false };
    const widths = columns.map((name) => Math.min(34, Math.max(name.length + 3, 7, ...rows.slice(0, SAMPLE).map((row) => (row.cells[name] || "").length))));
    const heads = columns.map((name) => {
      const button = make("button", { type: "button", title: text("sort", { column: name }) }, name);
      const head = make("th", { scope: "col", "aria-sort": "none" }, button);
      button.addEventListener("click", () => sort(name));
      return head;
    });
    body = make("tbody");
    const caption = make("caption", {}, text("rows", { n: rows.length.toLocaleString(language) }));
    const table = make("table", { "aria-rowcount": rows.length + 1 }, caption,
      make("colgroup", {}, make("col", { style: "width: 4.5rem" }), ...widths.map((width) => make("col", { style: `width: ${width}ch` }))),
      make("thead", {}, make("tr", {}, make("td", { class: "number" }), ...heads)), body);
    wide.replaceChildren(table);
    wide.scrollTop = 0;
    draw();
    if (page !== null) onPage(page);
  }

  function sort(name) {
    sheet.isDown = sheet.sorted === name && !sheet.isDown;
    sheet.sorted = name;
    const keys = sheet.rows.map(({ cells }) => (cells[name] || "").trim());
    const numbers = keys.map((key) => (key === "" ? NaN : Number(key.replace(/(?<=\d),(?=\d{3}\b)/g, "").replace(/[€$£%\s]/g, ""))));
    const isNumeric = keys.every((key, index) => key === "" || !Number.isNaN(numbers[index]));
    const compared = isNumeric ? numbers : keys.map((key) => key.toLocaleLowerCase(language));
    const sign = sheet.isDown ? -1 : 1;
    sheet.order.sort((a, b) => { // what is empty comes last
      if (keys[a] === "" || keys[b] === "") return (keys[a] === "") - (keys[b] === "") || a - b;
      return sign * ((compared[a] > compared[b]) - (compared[a] < compared[b])) || a - b;
    });
    wide.querySelectorAll("th").forEach((head, index) => head.setAttribute("aria-sort",
      sheet.columns[index] !== name ? "none" : sheet.isDown ? "descending" : "ascending"));
    draw();
  }

  // The rows in sight, between two rows as high as all the others.
  function draw() {
    const first = Math.max(0, Math.floor(wide.scrollTop / ROW) - SPARE);
    const last = Math.min(sheet.order.length, first + Math.ceil(wide.clientHeight / ROW) + 2 * SPARE);
    const inSheet = places().filter(({ page, isGone }) => page === sheet.page && !isGone);
    const filler = (rows) => make("tr", { "aria-hidden": "true", style: `height: ${rows * ROW}px` }, make("td"));
    body.replaceChildren(filler(first), ...sheet.order.slice(first, last).map((index, offset) => {
      const row = sheet.rows[index];
      const kinds = inSheet.filter(({ start, end }) => start < row.end && end > row.start).map(({ kind }) => kind);
      const number = make("td", { class: "number" }, String(index + 1));
      const line = make("tr", { "aria-rowindex": first + offset + 2, class: [...new Set(kinds)].join(" ") }, number,
        ...sheet.columns.map((name) => make("td", { title: row.cells[name] || "" }, row.cells[name] || "")));
      if (kinds.includes("mark")) number.append(make("span", { class: "visually-hidden" }, text("cited")));
      return line;
    }), filler(sheet.order.length - last));
  }

  let isDue = false;
  const soon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; draw(); });
  };
  wide.addEventListener("scroll", soon);
  addEventListener("resize", soon);
  if (sheets.size) open([...sheets.keys()][0]);

  return {
    start() {},
    goTo(number) { if (sheets.has(number)) open(number); },
    reveal(place) {
      if (!sheets.has(place.page)) return;
      open(place.page);
      const index = sheet.order.findIndex((row) => place.start < sheet.rows[row].end && place.end > sheet.rows[row].start);
      if (index >= 0) wide.scrollTop = Math.max(0, index * ROW - wide.clientHeight / 3);
      draw();
    },
    refresh: draw,
    label: String,
    count: sheets.size,
  };
}

// The rows of a sheet's text with their offsets in it, and the columns that several of them name alike.
function parsed(words) {
  const lines = [];
  let offset = 0;
  for (const line of words.split("\n")) {
    if (line.trim()) lines.push({ start: offset, end: offset + line.length, parts: line.trim().split(SEPARATOR) });
    offset += line.length + 1;
  }
  const sample = lines.slice(0, SAMPLE);
  const named = new Map();
  for (const { parts } of sample) {
    for (const name of new Set(parts.map(nameOf))) if (name) named.set(name, (named.get(name) || 0) + 1);
  }
  const needed = Math.max(1, Math.min(sample.length / 5, 20));
  const columns = [...named].filter(([, count]) => count >= needed).map(([name]) => name);
  const known = new Set(columns);
  const rows = lines.map((line) => ({ start: line.start, end: line.end, cells: cellsOf(line.parts, known) }))
    .filter(({ cells }) => Object.keys(cells).length > 0);
  return columns.length && rows.length ? { columns, rows }
    : { columns: [" "], rows: lines.map(({ start, end, parts }) => ({ start, end, cells: { " ": parts.join(SEPARATOR) } })) };
}

const nameOf = (part) => {
  const end = part.indexOf(": ");
  return end > 0 ? part.slice(0, end) : "";
};

function cellsOf(parts, columns) {
  const cells = {};
  let last = "";
  for (const part of parts) {
    const name = nameOf(part);
    if (columns.has(name) && !(name in cells)) {
      last = name;
      cells[name] = part.slice(name.length + 2);
    } else if (last) cells[last] += SEPARATOR + part;
  }
  return cells;
}
