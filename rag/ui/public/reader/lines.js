// The text of a document, line by line: with line numbers where lines mean something, else as prose under its headings.
import { make, text } from "./texts.js";

const BLOCK = 200; // lines that the browser lays out, or skips, together

export function linesView(view, contents, { places, warn, onPage }) {
  const isNumbered = contents.view === "lines";
  const pages = new Map(); // page, or null → its lines with their offsets in the text of that page
  const marks = places().filter((place) => place.kind === "mark");
  const texts = new Map();
  contents.sections.forEach((section) => texts.set(section.page, (texts.get(section.page) || "") + section.text));
  for (const place of marks) {
    place.isGone = !place.holds((texts.get(place.page) || "").slice(place.start, place.end));
    if (place.isGone) warn("changed");
  }

  const article = make("article", { class: isNumbered ? "lines" : "prose", "aria-label": text("text") });
  let block = null;
  for (const section of contents.sections) {
    if (!pages.has(section.page)) {
      pages.set(section.page, { length: 0, lines: [] });
      if (section.page !== null) {
        article.append(make("h2", { class: "page-name", "data-page": section.page }, section.label && section.label !== String(section.page)
          ? `${text("page")} ${section.label}` : `${text("page")} ${section.page}`));
      }
      block = null;
    }
    const page = pages.get(section.page);
    const heading = section.heading.split(" › ").at(-1);
    section.text.split(/(?<=\n)/).forEach((line, index) => {
      if (!block || block.childElementCount >= BLOCK) {
        block = make("div", { class: "block", style: `contain-intrinsic-height: auto ${BLOCK * 1.6}em` });
        if (isNumbered) block.style.counterReset = `line ${page.lines.length}`;
        article.append(block);
      }
      const depth = index === 0 && heading && line.replace(/^#+\s*/, "").trim() === heading;
      const element = make(depth && !isNumbered ? "h3" : "div", { class: "line" });
      fill(element, depth && !isNumbered ? line.replace(/^#+\s*/, (signs) => " ".repeat(signs.length)) : line,
        page.length, marks.filter((place) => place.page === section.page && !place.isGone));
      block.append(element);
      page.lines.push({ start: page.length, element });
      page.length += line.length;
    });
  }
  if (!contents.sections.some((section) => section.text.trim())) article.append(make("p", { class: "note" }, text("empty")));
  view.replaceChildren(article);

  function fill(element, line, offset, marked) {
    const words = line.replace(/\n$/, "");
    const cuts = [0, words.length];
    for (const { start, end } of marked) cuts.push(start - offset, end - offset);
    const inside = [...new Set(cuts)].filter((cut) => cut >= 0 && cut <= words.length).sort((a, b) => a - b);
    for (let index = 0; index + 1 < inside.length; index += 1) {
      const [from, to] = [inside[index], inside[index + 1]];
      const place = marked.find(({ start, end }) => start - offset <= from && to <= end - offset);
      element.append(place ? make("mark", { "data-place": place.id }, words.slice(from, to)) : words.slice(from, to));
    }
    if (!words) element.append(make("br"));
  }

  // The lines that a place runs over, as ranges.
  function rangesOf(place) {
    const lines = pages.get(place.page)?.lines || [];
    const ranges = [];
    for (let index = before(lines, place.start); index < lines.length && lines[index].start < place.end; index += 1) {
      const { start, element } = lines[index];
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      let offset = start;
      for (let node = walker.nextNode(); node; offset += node.data.length, node = walker.nextNode()) {
        const from = Math.max(0, place.start - offset);
        const to = Math.min(node.data.length, place.end - offset);
        if (from >= to) continue;
        const range = new Range();
        range.setStart(node, from);
        range.setEnd(node, to);
        ranges.push(range);
      }
    }
    return ranges;
  }

  // The last line that begins at or before an offset.
  function before(lines, offset) {
    let [low, high] = [0, lines.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (lines[middle].start <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  const names = [...article.querySelectorAll(".page-name")];
  view.addEventListener("scroll", () => {
    const top = view.getBoundingClientRect().top + view.clientHeight / 3;
    const shown = names.filter((name) => name.getBoundingClientRect().top < top).at(-1);
    if (shown) onPage(Number(shown.dataset.page));
  });

  return {
    start() {},
    goTo(number) { article.querySelector(`[data-page="${number}"]`)?.scrollIntoView({ block: "start" }); },
    reveal(place) {
      const [range] = rangesOf(place);
      if (window.Highlight) CSS.highlights.set("current-hit", new Highlight(...(place.kind === "hit" ? rangesOf(place) : [])));
      if (!range) return;
      range.startContainer.parentElement.scrollIntoView({ block: "center" });
    },
    refresh() {
      if (window.Highlight) CSS.highlights.set("hit", new Highlight(...places().filter(({ kind }) => kind === "hit").flatMap(rangesOf)));
    },
    label: String,
  };
}
