// The list of sources under an answer. It also makes the marks [1] inside the answer open the side panel, because
// elements that Chainlit itself calls "side" would open there unasked, all at once, and those of older answers too.
import { useEffect } from "react";
import { useSetRecoilState } from "recoil";
import { sideViewState } from "@chainlit/react-client";

export default function Footnotes() {
  const setSideView = useSetRecoilState(sideViewState);
  const { message, citations } = props;

  const open = (citation) => {
    const id = `${message}-${citation.number}`;
    const elements = [{ id, type: "custom", name: "Footnote", display: "side", props: citation }];
    if (citation.is_pdf) {
      // An id for each page: a viewer that is used again would stay at the page it shows.
      elements.push({ id: `${id}-page-${citation.page}`, type: "pdf", display: "side", name: citation.title,
                      url: citation.address, page: citation.page });
    }
    setSideView({ title: `[${citation.number}] ${citation.title}`, elements });
  };

  useEffect(() => {
    const answer = document.getElementById(`step-${message}`);
    if (!answer) return undefined;
    const onClick = (event) => {
      const mark = event.target.closest("a.element-link");
      const citation = mark && citations.find(({ number }) => `[${number}]` === mark.textContent);
      if (!citation) return;
      event.preventDefault();
      event.stopPropagation();
      open(citation);
    };
    answer.addEventListener("click", onClick, true);
    return () => answer.removeEventListener("click", onClick, true);
  }, [message, citations]);

  return (
    <ol className="footnotes" aria-label="Sources">
      {citations.map((citation) => (
        <li key={citation.number}>
          <button type="button" onClick={() => open(citation)}>
            <span className="footnotes-number">{citation.number}</span>
            <span className="footnotes-title">{citation.title}</span>
            <span className="footnotes-place">{[citation.heading, citation.place].filter(Boolean).join(" · ")}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}
