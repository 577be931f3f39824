// What a footnote rests on, at the top of the side panel: the place, and the quoted words in their surroundings.
// Everything is put in as plain text, so nothing in a document can turn into markup.
export default function Footnote() {
  const { heading, place, position, source, before, quote, after, pdf, missing } = props;
  return (
    <section className="footnote">
      <p className="footnote-place">{[heading, place, position].filter(Boolean).join(" · ")}</p>
      <blockquote className={pdf ? "footnote-quote" : "footnote-context"}>
        {before}
        <mark>{quote}</mark>
        {after}
      </blockquote>
      {missing ? <p className="footnote-missing">This document has been removed since.</p> : null}
      <p className="footnote-source" title={source}>{source}</p>
    </section>
  );
}
