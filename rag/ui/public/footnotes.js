// What stands under an answer: the list of its sources and what can be done with it. It also makes the marks [1] inside
// the answer open the side panel, and underlines the sentences that their sources do not bear out. It follows chat.js
// in one script. Chainlit compiles elements/Footnotes.jsx anew for each answer whenever anything happens in a
// conversation, so that file holds next to nothing.
{
  const MARK = "a[href^='#footnote-']";
  const doubts = new Map(); // message → [verdict, ranges] of its doubted sentences
  const squeezed = (words) => words.replace(/\s+/g, "");

  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // The ranges of the answer's text that hold a sentence, whatever elements it runs through.
  function rangesOf(answer, sentence) {
    const places = []; // for each letter: where it stands
    let letters = "";
    const walker = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT, {
      acceptNode: (node) => node.parentElement.closest(`${MARK}, .footnotes-place`)
        ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
    });
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      for (let offset = 0; offset < node.data.length; offset += 1) {
        if (/\s/.test(node.data[offset])) continue;
        letters += node.data[offset];
        places.push([node, offset]);
      }
    }
    const wanted = squeezed(sentence);
    const start = wanted ? letters.indexOf(wanted) : -1;
    if (start < 0) return [];
    const found = places.slice(start, start + wanted.length);
    const nodes = [...new Set(found.map(([node]) => node))]; // a range for each: marks between them stay as they are
    return nodes.map((node) => {
      const offsets = found.filter(([of]) => of === node).map(([, offset]) => offset);
      const range = new Range();
      range.setStart(node, offsets[0]);
      range.setEnd(node, offsets[offsets.length - 1] + 1);
      return range;
    });
  }

  // All underlines are drawn together, once a frame: the answers of a long conversation come and go together.
  let isDue = false;
  function underline() {
    if (isDue || !window.Highlight) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      for (const verdict of ["partly", "unsupported"]) {
        const ranges = [...doubts.values()].flat().filter(([of]) => of === verdict).flatMap(([, found]) => found);
        CSS.highlights.set(`footnote-${verdict}`, new Highlight(...ranges));
      }
    });
  }

  const placeOf = (citation) => [citation.heading, citation.place].filter(Boolean).join(" · ");
  const shortened = (words, length) => {
    const line = words.replace(/\s+/g, " ").trim();
    return line.length <= length ? line : `${line.slice(0, length).replace(/\s+\S*$/, "")} …`;
  };

  // A row for each citation, those of one document together: where it is, and how the quoted words begin.
  function sources(citations, open) {
    const documents = new Map();
    citations.forEach((citation) => {
      documents.set(citation.document, [...(documents.get(citation.document) ?? []), citation]);
    });
    const items = [...documents.values()].flatMap((of) => of.map((citation, index) => {
      const title = make("span", { class: index ? "footnotes-title footnotes-again" : "footnotes-title" }, citation.title);
      const button = make("button", { type: "button" },
        make("span", { class: "footnotes-number" }, String(citation.number)),
        make("span", { class: "footnotes-line" }, title, make("span", { class: "footnotes-where" }, placeOf(citation))),
        ...(citation.quote ? [make("span", { class: "footnotes-words" }, `“${shortened(citation.quote, 80)}”`)] : []));
      button.addEventListener("click", () => open(citation, button));
      return make("li", {}, button);
    }));
    return make("ol", { class: "footnotes", "aria-label": text("sources") }, ...items);
  }

  // How far the sources bear the answer out: one line, which opens on the sentences that they do not.
  function checked({ summary, is_doubtful: isDoubtful, sentences }) {
    const attributes = { class: isDoubtful ? "footnotes-check doubtful" : "footnotes-check" };
    if (!sentences.length) return make("p", attributes, summary);
    const list = make("ul", {}, ...sentences.map((sentence) => make("li", {}, sentence)));
    return make("details", attributes, make("summary", {}, summary), list);
  }

  // What a mark stands for is shown beside it, to the mouse and the keyboard; a finger opens the panel at once.
  const tip = make("div", { id: "footnote-tip", role: "tooltip", hidden: "" });
  function showTip(mark, citation) {
    const title = make("strong", {}, citation.title);
    const place = placeOf(citation);
    tip.replaceChildren(title, ...(place ? [make("span", {}, place)] : []),
      ...(citation.quote ? [make("q", {}, shortened(citation.quote, 220))] : []));
    if (!tip.isConnected) document.body.append(tip);
    tip.hidden = false;
    mark.setAttribute("aria-describedby", tip.id);
    const { left, top, bottom } = mark.getBoundingClientRect();
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    tip.style.top = `${top - height - 8 > 0 ? top - height - 8 : bottom + 8}px`;
  }
  const hideTip = () => {
    tip.hidden = true;
    document.querySelector(`[aria-describedby="${tip.id}"]`)?.removeAttribute("aria-describedby");
  };
  document.addEventListener("scroll", hideTip, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());

  function tools({ message, conversation }, callAction) {
    const button = make("button", { type: "button", class: "footnotes-copy", title: text("copy_with_footnotes"),
      "aria-label": text("copy_with_footnotes") });
    button.addEventListener("click", () => callAction({ name: "copy", payload: { message } }));
    const link = (suffix, label, attributes) => make("a", { class: `footnotes-${suffix}`, title: label, "aria-label": label,
      href: `/conversations/${conversation}/transcript.${suffix}`, ...attributes });
    return make("div", { class: "footnotes-tools" }, button,
      link("md", text("save_markdown"), { download: "" }),
      link("html", text("print"), { target: "_blank", rel: "noopener" }));
  }

  // Fill `place` under the answer that it is in; what undoes that comes back.
  window.footnote.show = (place, props, { setSideView, callAction }) => {
    const { message, citations, check, doubts: statements = [] } = props;
    const open = (citation, opener) => {
      hideTip();
      window.footnote.opener = opener; // the keyboard goes back there
      const elements = [{ id: `${message}-${citation.number}`, type: "custom", name: "Footnote", display: "side",
                          props: citation }];
      setSideView({ title: `[${citation.number}] ${citation.title}`, elements });
    };
    place.replaceChildren(...(check ? [checked(check)] : []), ...(citations.length ? [sources(citations, open)] : []),
      tools(props, callAction));

    const answer = document.getElementById(`step-${message}`);
    if (!answer) return undefined;
    const citationOf = (mark) => mark && citations.find(({ number }) => mark.hash === `#footnote-${number}`);
    const onClick = (event) => {
      const mark = event.target.closest(MARK);
      const citation = citationOf(mark);
      if (!citation) return;
      event.preventDefault();
      event.stopPropagation();
      open(citation, mark);
    };
    const onKey = (event) => {
      if (event.key === " " && event.target.matches(MARK)) onClick(event);
    };
    const onPoint = (event) => {
      const mark = event.target.closest(MARK);
      const citation = citationOf(mark);
      if (citation && (event.type !== "pointerover" || event.pointerType === "mouse")) showTip(mark, citation);
    };
    const pointing = { pointerover: onPoint, focusin: onPoint, pointerout: hideTip, focusout: hideTip };
    const name = () => {
      answer.querySelectorAll(MARK).forEach((mark) => {
        const citation = citationOf(mark);
        if (!citation || mark.getAttribute("role") === "button") return;
        mark.setAttribute("role", "button");
        mark.removeAttribute("target");
        mark.setAttribute("aria-label", `${text("source", citation)}: ${citation.title}, ${citation.place}`);
      });
      if (!statements.length) return;
      const words = answer.querySelector(".message-content");
      doubts.set(message, statements.map(({ sentence, verdict }) => [verdict, words ? rangesOf(words, sentence) : []]));
      underline();
    };
    name();
    const changes = new MutationObserver(name);
    changes.observe(answer, { childList: true, subtree: true });
    answer.addEventListener("click", onClick, true);
    answer.addEventListener("keydown", onKey, true);
    for (const [kind, listener] of Object.entries(pointing)) answer.addEventListener(kind, listener);
    return () => {
      changes.disconnect();
      hideTip();
      for (const [kind, listener] of Object.entries(pointing)) answer.removeEventListener(kind, listener);
      answer.removeEventListener("click", onClick, true);
      answer.removeEventListener("keydown", onKey, true);
      if (doubts.delete(message)) underline();
    };
  };
}
