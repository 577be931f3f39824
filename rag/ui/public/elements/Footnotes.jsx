// The list of sources under an answer. It also makes the marks [1] inside the answer open the side panel, because
// elements that Chainlit itself calls "side" would open there unasked, all at once, and those of older answers too.
// And it underlines the sentences of the answer that their sources do not bear out.
import { useEffect } from "react";
import { useSetRecoilState } from "recoil";
import { sideViewState } from "@chainlit/react-client";

const { text, doubts: allDoubts } = window.footnote;
const squeezed = (words) => words.replace(/\s+/g, "");

// The ranges of the answer's text that hold these sentences, whatever elements they run through.
function rangesOf(answer, sentences) {
  const places = []; // for each letter: where it stands
  let letters = "";
  const walker = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT, {
    acceptNode: (node) => node.parentElement.closest("a.element-link, .footnotes")
      ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  });
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (let offset = 0; offset < node.data.length; offset += 1) {
      if (/\s/.test(node.data[offset])) continue;
      letters += node.data[offset];
      places.push([node, offset]);
    }
  }
  return sentences.flatMap((sentence) => {
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
  });
}

function underline(message, doubts) {
  if (!window.Highlight) return;
  const answer = document.querySelector(`[id="step-${message}"] .message-content`);
  if (answer && doubts.length) allDoubts.set(message, doubts.map(({ sentence, verdict }) =>
    [verdict, rangesOf(answer, [sentence])]));
  else allDoubts.delete(message);
  for (const verdict of ["partly", "unsupported"]) {
    const ranges = [...allDoubts.values()].flat().filter(([of]) => of === verdict).flatMap(([, found]) => found);
    CSS.highlights.set(`footnote-${verdict}`, new Highlight(...ranges));
  }
}

export default function Footnotes() {
  const setSideView = useSetRecoilState(sideViewState);
  const { message, citations, doubts = [] } = props;

  const open = (citation, opener) => {
    window.footnote.opener = opener; // the keyboard goes back there
    const elements = [{ id: `${message}-${citation.number}`, type: "custom", name: "Footnote", display: "side",
                        props: citation }];
    setSideView({ title: `[${citation.number}] ${citation.title}`, elements });
  };

  useEffect(() => {
    const answer = document.getElementById(`step-${message}`);
    if (!answer) return undefined;
    const citationOf = (mark) => mark && citations.find(({ number }) => `[${number}]` === mark.textContent);
    const onClick = (event) => {
      const mark = event.target.closest("a.element-link");
      const citation = citationOf(mark);
      if (!citation) return;
      event.preventDefault();
      event.stopPropagation();
      open(citation, mark);
    };
    const onKey = (event) => {
      if (event.key === " " && event.target.matches("a.element-link")) onClick(event);
    };
    const name = () => {
      answer.querySelectorAll("a.element-link").forEach((mark) => {
        const citation = citationOf(mark);
        if (!citation || mark.getAttribute("role") === "button") return;
        mark.setAttribute("role", "button");
        mark.setAttribute("aria-label", `${text("source", citation)}: ${citation.title}, ${citation.place}`);
      });
      underline(message, doubts);
    };
    name();
    const changes = new MutationObserver(name);
    changes.observe(answer, { childList: true, subtree: true });
    answer.addEventListener("click", onClick, true);
    answer.addEventListener("keydown", onKey, true);
    return () => {
      changes.disconnect();
      answer.removeEventListener("click", onClick, true);
      answer.removeEventListener("keydown", onKey, true);
      underline(message, []);
    };
  }, [message, citations]);

  return (
    <ol className="footnotes" aria-label={text("sources")}>
      {citations.map((citation) => (
        <li key={citation.number}>
          <button type="button" onClick={(event) => open(citation, event.currentTarget)}>
            <span className="footnotes-number">{citation.number}</span>
            <span className="footnotes-title">{citation.title}</span>
            <span className="footnotes-place">{[citation.heading, citation.place].filter(Boolean).join(" · ")}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}
