// Light, dark or the system's: what was chosen in the chat holds here. It runs before the page is painted.
{
  const chosen = localStorage.getItem("vite-ui-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.style.colorScheme = chosen;
}
