// Runs before Chainlit's own script: the first visit follows the system's light or dark setting.
if (!localStorage.getItem("vite-ui-theme")) localStorage.setItem("vite-ui-theme", "system");
