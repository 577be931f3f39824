// Runs before Chainlit's own script: the first visit follows the system's light or dark setting.
if (!localStorage.getItem("vite-ui-theme")) localStorage.setItem("vite-ui-theme", "system");

// The line above the chat follows the profile; text between backticks is shown as code.
window.addEventListener("message", (event) => {
  const text = event.source === window && event.data && event.data["footnote-banner"];
  const banner = document.getElementById("model-banner");
  if (typeof text !== "string" || !banner) return;
  banner.replaceChildren(...text.split("`").map((part, index) => {
    if (index % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  }));
});

// What the buttons under an answer ask for: text for the clipboard, and a file of ours to save.
window.addEventListener("message", (event) => {
  const told = event.source === window && event.data;
  if (told && typeof told["footnote-copy"] === "string") copy(told["footnote-copy"]);
  if (told && typeof told["footnote-save"] === "string" && told["footnote-save"].startsWith("/conversations/")) {
    const link = document.createElement("a");
    link.href = told["footnote-save"];
    link.download = "";
    link.click();
  }
});

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
