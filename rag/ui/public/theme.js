// Light or dark, as it was chosen in the chat or on the page of documents, else as the system has it; for that page and
// the reader, before anything is painted.
"use strict";

const THEME = "vite-ui-theme"; // Chainlit's
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const chosenTheme = () => localStorage.getItem(THEME) || "system";

function applyTheme() {
  const chosen = chosenTheme();
  const theme = chosen === "dark" || (chosen === "system" && prefersDark.matches) ? "dark" : "light";
  document.documentElement.dataset.theme = document.documentElement.style.colorScheme = theme;
}

function chooseTheme(theme) {
  localStorage.setItem(THEME, theme);
  applyTheme();
}

prefersDark.addEventListener("change", applyTheme);
window.addEventListener("storage", applyTheme); // chosen in another tab
applyTheme();
