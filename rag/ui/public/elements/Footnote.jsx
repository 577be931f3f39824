// What a footnote rests on, at the top of the side panel: the place, and the quoted words in their surroundings.
// Everything is put in as plain text, so nothing in a document can turn into markup. Below it Chainlit shows the page of
// a PDF; that page is made to fit the panel, and the quoted words are marked in it where they are found.
import { useEffect } from "react";

const PANEL = "side-view-content";

function fit(panel) {
  const page = panel.querySelector(".react-pdf__Page");
  const canvas = page && page.querySelector("canvas");
  const frame = page && page.closest(".overflow-auto");
  const width = canvas ? parseFloat(canvas.style.width) : 0;
  if (!width || !frame) return;
  page.dataset.natural = page.dataset.natural || width; // at 100 %; the viewer's own zoom comes on top
  page.style.zoom = Math.min(1, (frame.clientWidth - 18) / page.dataset.natural);
}

// Letters and digits only: line breaks, hyphens and spaces differ between the two ways of reading a PDF.
const letters = (text) => Array.from(text.normalize("NFKC").toLowerCase()).filter((c) => /[\p{L}\p{N}]/u.test(c));

// Mark the quote in the page's invisible text layer; an empty quote, or one that is not found, marks nothing.
function mark(panel, quote) {
  if (!window.Highlight) return;
  CSS.highlights.delete("footnote");
  const wanted = letters(quote).join("");
  if (!wanted) return;
  const places = []; // for each letter of the page: where it stands
  let text = "";
  panel.querySelectorAll(".react-pdf__Page__textContent span[role='presentation']").forEach(({ firstChild: node }) => {
    let offset = 0;
    for (const c of (node && node.data) || "") {
      for (const letter of letters(c)) {
        text += letter;
        for (let unit = 0; unit < letter.length; unit += 1) places.push([node, offset, offset + c.length]);
      }
      offset += c.length;
    }
  });
  const start = text.indexOf(wanted);
  if (start < 0) return;
  const [first, last] = [places[start], places[start + wanted.length - 1]];
  const range = new Range();
  range.setStart(first[0], first[1]);
  range.setEnd(last[0], last[2]);
  CSS.highlights.set("footnote", new Highlight(range));
}

export default function Footnote() {
  const { heading, place, position, source, file, address, is_pdf, page, before, quote, after, warning } = props;

  useEffect(() => {
    const panel = document.getElementById(PANEL);
    if (!panel || !is_pdf) return undefined;
    const refresh = () => {
      fit(panel);
      const shown = panel.querySelector(".react-pdf__Page");
      mark(panel, shown && Number(shown.dataset.pageNumber) === page ? quote : "");
    };
    const changes = new MutationObserver(refresh);
    changes.observe(panel, { childList: true, subtree: true });
    const sizes = new ResizeObserver(refresh);
    sizes.observe(panel);
    return () => { changes.disconnect(); sizes.disconnect(); mark(panel, ""); };
  }, [address, page, quote]);

  return (
    <section className="footnote">
      <p className="footnote-place">{[heading, place, position].filter(Boolean).join(" · ")}</p>
      <blockquote className={is_pdf ? "footnote-quote" : "footnote-context"}>
        {before}
        <mark>{quote}</mark>
        {after}
      </blockquote>
      {warning && <p className="footnote-warning" role="note">{warning}</p>}
      <p className="footnote-source" title={source}>
        {address ? <a href={address} target="_blank" rel="noopener noreferrer">{file}</a> : `${file} is no longer there.`}
      </p>
    </section>
  );
}
