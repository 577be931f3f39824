// The place under an answer that public/footnotes.js fills; short, because Chainlit compiles it again and again.
import { useEffect, useRef } from "react";
import { useSetRecoilState } from "recoil";
import { sideViewState } from "@chainlit/react-client";

export default function Footnotes() {
  const place = useRef();
  const setSideView = useSetRecoilState(sideViewState);
  useEffect(() => window.footnote.show(place.current, props, { setSideView, callAction }), []);
  return <div ref={place} className="footnotes-place" />;
}
