// The pages of a PDF: pictures that the server draws, one under the other, loaded as they come into sight, each under a
// layer of its text that can be selected, with boxes around cited and found words.
import { make, text } from "./texts.js";

const HEAD_START = 400; // milliseconds that the page which was asked for has for itself
const SETTLE = 120; // milliseconds in sight until a page is asked for: who scrolls past asks for nothing
const FONT = "sans-serif";
const ruler = document.createElement("canvas").getContext("2d");

export function pagesView(view, contents, { address, places, onPage, warn }) {
  const label = (number) => contents.sections.find((section) => section.page === number)?.label || String(number);
  const sheets = Array.from({ length: contents.pages }, (_, index) =>
    make("section", { class: "sheet", "data-page": index + 1, "aria-label": `${text("page")} ${label(index + 1)}` }));
  const waiting = new Map(); // page → timer of the pages that have just come into sight
  const loaded = new Map(); // page → AbortController
  let wanted = null; // the place that is to be scrolled to once its page is there
  view.classList.add("pages");
  view.replaceChildren(...sheets);

  const ofPage = (number) => places().filter((place) => place.page === number);

  async function load(number) {
    if (loaded.has(number)) return;
    const stop = new AbortController();
    loaded.set(number, stop);
    const sheet = sheets[number - 1];
    try {
      const ask = (query) => fetch(`${address}/pages/${number}${query}`, { signal: stop.signal })
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))));
      const marks = ofPage(number);
      const first = await ask(marks.length ? `?start=${marks[0].start}&end=${marks[0].end}` : "");
      const others = await Promise.all(marks.slice(1, 20).map(({ start, end }) => ask(`?start=${start}&end=${end}`)));
      show(sheet, number, first, [first, ...others].map((page, index) => [marks[index], page]));
    } catch (error) {
      if (stop.signal.aborted) return;
      sheet.replaceChildren(make("p", { class: "note", role: "status" }, text("failed")));
    }
  }

  function show(sheet, number, page, marked) {
    sheet.style.aspectRatio = `${page.width} / ${page.height}`;
    const boxes = marked.flatMap(([place, { boxes: found, quote }]) => {
      if (!place) return [];
      const isChanged = !place.holds(quote);
      if (isChanged) warn("changed");
      else if (!found.length && place.kind === "mark") warn("unlocated");
      return isChanged ? [] : found.map((box) => at(make("span", { class: `box ${place.kind}`, "data-place": place.id,
        "aria-hidden": "true" }), box));
    });
    const values = { label: label(number), title: contents.title };
    const picture = make("img", { src: page.picture, alt: text(boxes.length ? "marked" : "pageOf", values) });
    sheet.replaceChildren(picture, ...boxes, layer(page));
    if (wanted && wanted.page === number) reveal(wanted);
  }

  const at = (element, [left, top, width, height]) => {
    Object.assign(element.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`, height: `${100 * height}%` });
    return element;
  };

  // Each line is as wide as in the picture, whatever font the browser has: it is measured once and stretched.
  function layer({ lines, width: pageWidth, height: pageHeight }) {
    const size = 0.8; // of the font in the height of its line
    return make("div", { class: "layer" }, ...lines.map(([left, top, width, height, words]) => {
      const line = at(make("span", { dir: "auto" }, words.trimEnd(), make("br")), [left, top, width, height]);
      ruler.font = `${size * height * pageHeight}px ${FONT}`;
      const measured = ruler.measureText(words.trimEnd()).width;
      line.style.fontSize = `${100 * size * height}cqh`;
      line.style.transform = `scaleX(${measured ? (width * pageWidth) / measured : 1})`;
      return line;
    }));
  }

  function unload(number) {
    if (!loaded.has(number)) return;
    loaded.get(number).abort();
    loaded.delete(number);
    sheets[number - 1].replaceChildren();
  }

  function reveal(place) {
    const box = view.querySelector(`[data-place="${place.id}"]`);
    view.querySelectorAll(".box.current").forEach((other) => other.classList.remove("current"));
    view.querySelectorAll(`[data-place="${place.id}"]`).forEach((other) => other.classList.add("current"));
    if (box) {
      box.scrollIntoView({ block: "center", inline: "nearest" });
      wanted = null;
    }
  }

  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const number = Number(target.dataset.page);
      clearTimeout(waiting.get(number));
      if (isIntersecting) waiting.set(number, setTimeout(() => load(number), sight.isOld ? SETTLE : HEAD_START));
      else unload(number);
    }
    sight.isOld = true;
  }, { root: view, rootMargin: "100% 0px" });

  let isDue = false;
  view.addEventListener("scroll", () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      const middle = view.getBoundingClientRect().top + view.clientHeight / 3;
      const shown = sheets.find((sheet) => sheet.getBoundingClientRect().bottom > middle);
      if (shown) onPage(Number(shown.dataset.page));
    });
  });

  return {
    start() { sheets.forEach((sheet) => sight.observe(sheet)); },
    goTo(number) { sheets[number - 1]?.scrollIntoView({ block: "start" }); load(number); },
    reveal(place) {
      if (!sheets[place.page - 1]) return undefined; // such as what is attached to the file
      wanted = place;
      if (view.querySelector(`[data-place="${place.id}"]`)) return reveal(place);
      sheets[place.page - 1]?.scrollIntoView({ block: "start" });
      return load(place.page);
    },
    refresh() { [...loaded.keys()].forEach((number) => { loaded.get(number).abort(); loaded.delete(number); load(number); }); },
    label,
  };
}
