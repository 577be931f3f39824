// Runs before Chainlit's own script. What the server knows stands before it: the texts of this page by language, and
// whether it is open to everybody.

// The first visit follows the system's light or dark setting.
if (!localStorage.getItem("vite-ui-theme")) localStorage.setItem("vite-ui-theme", "system");

// Where nobody has to log in, Chainlit would find that out by loading this page three times.
if (window.footnoteIsOpen && !sessionStorage.getItem("footnote-is-in")) {
  const login = new XMLHttpRequest();
  login.open("POST", "/auth/header", false);
  login.send();
  if (login.status === 200) sessionStorage.setItem("footnote-is-in", "yes");
}

// ------------------------------------------------------------------------------------------------------- language
// The browser's language if there are texts in it, else English; Chainlit's script is told the same.
const wished = (navigator.language || "").split("-")[0].toLowerCase();
const language = wished in window.footnoteTexts ? wished : "en";
Object.defineProperty(navigator, "language", { get: () => language });
document.documentElement.lang = language;

window.footnote = {
  // A text of this page, with its {values} filled in.
  text: (name, values = {}) =>
    window.footnoteTexts[language][name].replace(/\{(\w+)\}/g, (_, value) => String(values[value])),
};
const { text } = window.footnote;

// --------------------------------------------------------------------------------------------------------- banner
// The line above the chat follows the profile; what stands between backticks is shown as code.
function showBanner(line) {
  const banner = document.getElementById("model-banner");
  if (!banner) return;
  banner.replaceChildren(...line.split("`").map((part, index) => {
    if (index % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  }));
}

window.addEventListener("message", (event) => {
  const line = event.source === window && event.data && event.data["footnote-banner"];
  if (typeof line === "string") showBanner(line);
});

document.addEventListener("DOMContentLoaded", () => {
  const banner = document.getElementById("model-banner");
  if (!banner) return;
  banner.setAttribute("aria-label", text("language_model"));
  banner.querySelectorAll("span[lang]").forEach((line) => line.lang === language || line.remove());
});

// ---------------------------------------------------------------------------------------------------- the first screen
// What the empty chat is for, and how much there is to ask, as the server says when a chat begins.
let welcome = null;

function showWelcome() {
  const picture = document.querySelector("#welcome-screen img"); // the logo, or that of a profile
  if (!picture || !welcome || document.querySelector(".footnote-welcome")) return;
  const [line, add] = welcome;
  const [block, heading, words, link] = ["div", "h1", "p", "a"].map((tag) => document.createElement(tag));
  block.className = "footnote-welcome";
  heading.textContent = text("ask_your_documents");
  link.href = "/library";
  link.textContent = add;
  words.append(line, line.endsWith(".") ? " " : " · ", link);
  block.append(heading, words);
  picture.after(block);
}

window.addEventListener("message", (event) => {
  const line = event.source === window && event.data && event.data["footnote-welcome"];
  if (typeof line !== "string") return;
  welcome = [line, event.data["footnote-add"]];
  document.querySelector(".footnote-welcome")?.remove();
  showWelcome();
});

// ----------------------------------------------------------------------------------------------------- connection
// Chainlit shows a bar while the server is gone, and connects again by itself; a reader is told of both. And the link
// in its header is named in the page's language.
document.addEventListener("DOMContentLoaded", () => {
  const news = document.createElement("div");
  news.id = "connection-news";
  news.setAttribute("role", "status");
  document.body.append(news);
  let lost = false;
  new MutationObserver(() => {
    const documents = document.querySelector("#header a[href='/library'] span"); // Chainlit has one name for it
    if (documents && documents.textContent !== text("documents")) {
      documents.textContent = text("documents");
      documents.previousElementSibling.alt = "";
    }
    showWelcome();
    const isLost = Boolean(document.getElementById("session-error"));
    if (isLost === lost) return;
    lost = isLost;
    news.textContent = text(lost ? "lost" : "back");
    news.classList.toggle("back", !lost);
    if (!lost) setTimeout(() => lost || (news.textContent = ""), 4000);
  }).observe(document.body, { childList: true, subtree: true });
});

// What the button under an answer asks for: text for the clipboard.
window.addEventListener("message", (event) => {
  const answer = event.source === window && event.data && event.data["footnote-copy"];
  if (typeof answer === "string") copy(answer);
});

// A file that came with a message opens; Chainlit would save it.
document.addEventListener("click", (event) => {
  const file = event.target.closest("a.inline-file[href^='/documents/']");
  if (file) file.removeAttribute("download");
}, true);

// On a narrow screen Chainlit leaves the address as it is until the side bar is opened; a reload would lose the place.
window.addEventListener("message", (event) => {
  const id = event.source === window && event.data && event.data["footnote-conversation"];
  if (typeof id === "string" && innerWidth < 768 && location.pathname === "/") {
    history.replaceState(history.state, "", `/thread/${encodeURIComponent(id)}`);
  }
});

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // the clipboard proper is for https and this machine only
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  return undefined;
}
