// What a footnote rests on, in the side panel: what it is cited for and how far that holds, the quoted words, and the
// page they stand on, drawn, with the words marked; of a sheet the rows, of other files the words' surroundings.
// Everything is put in as plain text, so nothing in a document can turn into markup.
import { useEffect, useRef, useState } from "react";
import { useSetRecoilState } from "recoil";
import { sideViewState } from "@chainlit/react-client";
import { BookOpen, ChevronLeft, ChevronRight, ExternalLink, Quote } from "lucide-react";

const { text } = window.footnote;

// The panel is Chainlit's: it gets a name, a close button with a name, the keyboard, and Escape.
function usePanel(number) {
  const setSideView = useSetRecoilState(sideViewState);
  useEffect(() => {
    const title = document.getElementById("side-view-title");
    const panel = title && title.closest("aside, [role='dialog']");
    if (!panel) return undefined;
    if (panel.tagName === "ASIDE") panel.setAttribute("aria-label", text("panel", { number }));
    const button = title.querySelector("button");
    if (button) {
      button.setAttribute("aria-label", text("close"));
      button.title = text("close");
      button.focus({ preventScroll: true });
    }
    const close = (event) => {
      if (event.key !== "Escape" || document.querySelector("[role='dialog'] #confirm")) return;
      event.preventDefault();
      setSideView(undefined);
    };
    document.addEventListener("keydown", close);
    return () => document.removeEventListener("keydown", close);
  }, [number]);
  useEffect(() => () => {
    // Once the panel is gone; an opener of another footnote has the keyboard already.
    setTimeout(() => {
      const { opener } = window.footnote;
      if (!document.getElementById("side-view-title") && opener && opener.isConnected) opener.focus();
    }, 0);
  }, []);
}

function Statements({ statements }) {
  if (!statements.length) return null;
  return (
    <section aria-label={text("cited_for")}>
      <h3>{text("cited_for")}</h3>
      <ul className="footnote-statements">
        {statements.map(({ sentence, verdict, reason }) => (
          <li key={sentence} className={verdict}>
            <span className={`footnote-verdict ${verdict}`}>{text(verdict)}</span>
            <span>{sentence}</span>
            {reason && <span className="footnote-reason">{reason}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Rows({ table: { columns, rows, marked } }) {
  return (
    <section aria-label={text("rows")}>
      <h3>{text("rows")}</h3>
      <div className="footnote-table" tabIndex={0} role="region" aria-label={text("rows")}>
        <table>
          <thead>
            <tr>{columns.map((column) => <th key={column} scope="col">{column}</th>)}</tr>
          </thead>
          <tbody>
            {rows.map((cells, row) => {
              const isMarked = marked.includes(row);
              return (
                <tr key={row} className={isMarked ? "marked" : ""} aria-label={isMarked ? text("marked_row") : undefined}>
                  {cells.map((cell, column) => <td key={columns[column]}>{cell}</td>)}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

// The reader with the quote marked. What the number at the end is made of, it makes of the words that it finds there, so
// that a document which has changed is noticed (public/reader/reader.js).
function readerAddress({ document: id, page, start, end, quote }) {
  let check = 7;
  for (const character of quote) check = (Math.imul(check, 31) + character.codePointAt(0)) | 0;
  return `/view/${id}?${page ? `page=${page}&` : ""}start=${start}&end=${end}&check=${check >>> 0}`;
}

function Page({ citation, onNumber }) {
  const [number, setNumber] = useState(citation.page);
  const [page, setPage] = useState();
  const [failed, setFailed] = useState(false);
  const first = useRef();
  const isCited = number === citation.page;

  useEffect(() => {
    let isWanted = true;
    const marked = isCited ? `?start=${citation.start}&end=${citation.end}` : "";
    setFailed(false);
    onNumber(number);
    fetch(`/documents/${citation.document}/pages/${number}${marked}`)
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)))
      .then((found) => isWanted && setPage(found))
      .catch(() => isWanted && setFailed(true));
    return () => { isWanted = false; };
  }, [number]);

  const isStale = isCited && page && page.number === number && page.quote !== citation.quote;
  const boxes = page && !isStale ? page.boxes : [];
  const label = (page && page.label) || number;
  const reveal = () => {
    if (first.current) first.current.scrollIntoView({ block: "nearest" });
  };
  const move = (to) => setNumber(Math.min(Math.max(1, to), page ? page.pages : to));
  return (
    <section className="footnote-page" aria-label={text("page", { label })} aria-busy={!page || page.number !== number}>
      <div className="footnote-tools" role="toolbar">
        <button type="button" aria-label={text("previous_page")} title={text("previous_page")}
                disabled={number <= 1} onClick={() => move(number - 1)}><ChevronLeft /></button>
        <span aria-live="polite">
          <b>{text("page", { label })}</b>
          {page && <small>{text("page_of", { number, total: page.pages })}</small>}
        </span>
        <button type="button" aria-label={text("next_page")} title={text("next_page")}
                disabled={!page || number >= page.pages} onClick={() => move(number + 1)}><ChevronRight /></button>
        {!isCited && (
          <button type="button" className="footnote-back" onClick={() => move(citation.page)}>
            <Quote />{text("back_to_passage")}
          </button>
        )}
      </div>
      {failed && <p className="footnote-note" role="status">{text("not_drawn")}</p>}
      {isStale && <p className="footnote-note" role="status">{text("changed")}</p>}
      {isCited && page && !failed && !isStale && page.number === number && !boxes.length &&
        <p className="footnote-note" role="status">{text("not_located")}</p>}
      {!page && !failed && <div className="footnote-drawing" role="status">{text("drawing")}</div>}
      {page && !failed && (
        <div className="footnote-sheet" style={{ aspectRatio: `${page.width} / ${page.height}` }}>
          <img src={page.picture} width={page.width} height={page.height} onLoad={reveal}
               alt={text(boxes.length ? "picture_marked" : "picture", { label, title: citation.title })} />
          {boxes.map(([left, top, width, height], index) => (
            <span key={index} ref={index === 0 ? first : undefined} className="footnote-box" aria-hidden="true"
                  style={{ left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`,
                           height: `${100 * height}%` }} />
          ))}
        </div>
      )}
      {page && page.text && (
        <details className="footnote-text">
          <summary>{text("page_text")}</summary>
          <p>{page.text}</p>
        </details>
      )}
    </section>
  );
}

export default function Footnote() {
  const { number, heading, place, position, source, file, address, is_pdf, page, before, quote, after, table,
          statements = [], warning, is_readable = true } = props;
  const [shown, setShown] = useState(page);
  usePanel(number);

  return (
    <article className="footnote">
      <p className="footnote-place">{[heading, place, position].filter(Boolean).join(" · ")}</p>
      <Statements statements={statements} />
      {!is_readable && <p className="footnote-warning" role="note">{text("not_readable")}</p>}
      {table ? <Rows table={table} /> : is_readable && (
        <section aria-label={text("passage")}>
          <h3>{text("passage")}</h3>
          <blockquote className={is_pdf ? "footnote-quote" : "footnote-context"} tabIndex={0}>
            {before}
            <mark>{quote}</mark>
            {after}
          </blockquote>
        </section>
      )}
      {warning && <p className="footnote-warning" role="note">{warning}</p>}
      {is_pdf && <Page key={`${props.document} ${page} ${props.start}`} citation={props} onNumber={setShown} />}
      {is_readable && (
        <p className="footnote-reader">
          <a href={readerAddress(props)} target="_blank" rel="noopener noreferrer"><BookOpen />{text("open_reader")}</a>
        </p>
      )}
      <p className="footnote-source" title={source}>
        {!is_readable ? null : address ? (
          <a href={is_pdf ? `${address}#page=${shown}` : address} target="_blank" rel="noopener noreferrer">
            <ExternalLink />{text(is_pdf ? "open_page" : "open_file")}
          </a>
        ) : text("gone", { file })}
        {address && <span>{file}</span>}
      </p>
    </article>
  );
}
