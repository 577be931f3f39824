// Names for those of Chainlit's buttons that show only a picture, so that a screen reader can tell them. It follows
// chat.js in one script; window.footnoteNames has a name for each selector, by language.
{
  const names = Object.entries(window.footnoteNames[language]);
  let isDue = false;

  function name() {
    isDue = false;
    for (const [selector, words] of names) {
      document.querySelectorAll(`${selector}:not([aria-label])`).forEach((button) => {
        button.setAttribute("aria-label", words);
        button.removeAttribute("role"); // one has "presentation"
      });
    }
    document.querySelectorAll("#welcome-screen img:not([alt])").forEach((picture) => picture.setAttribute("alt", ""));
    document.querySelectorAll("[role='slider']:not([aria-label])").forEach((slider) => {
      const label = document.querySelector(`label[for="${CSS.escape(slider.closest("[id]").id)}"]`);
      if (label) slider.setAttribute("aria-label", label.textContent);
    });
  }

  // When the browser has time: nobody waits for a name.
  const soon = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    if (isDue) return;
    isDue = true;
    soon(name);
  }).observe(document.body, { childList: true, subtree: true }));
}
