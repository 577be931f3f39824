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
