// The answers of several models to one question stand side by side, in the order in which the models were asked; where
// there is no room for that, one shows at a time, under tabs with their names. Chainlit knows only a column of messages:
// those of a comparison are told by their author, who is a model. It follows chat.js in one script.
{
  const MODELS = '.step .ai-message img[src*="/avatars/"]:not([src$="/avatars/Footnote"])';
  const modelOf = (step) => step.querySelector(MODELS).getAttribute("alt").replace(/^Avatar for /, "");

  // Runs of neighbours, each the answers to one question.
  function comparisons() {
    const steps = [...document.querySelectorAll(MODELS)].map((picture) => picture.closest(".step"));
    const runs = [];
    steps.forEach((step, index) => {
      if (index && steps[index - 1] === step.previousElementSibling) runs[runs.length - 1].push(step);
      else runs.push([step]);
    });
    return runs.filter((run) => run.length > 1);
  }

  function choose(run, chosen) {
    run.forEach((step, index) => step.classList.toggle("compared-hidden", index !== chosen));
    run[0].querySelectorAll("[role='tab']").forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
    });
  }

  function tabs(run) {
    const list = document.createElement("div");
    list.className = "compared-tabs";
    list.setAttribute("role", "tablist");
    run.forEach((step, index) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.textContent = modelOf(step);
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => choose(run, index));
      list.append(tab);
    });
    list.addEventListener("keydown", (event) => {
      const towards = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const at = [...list.children].indexOf(event.target);
      if (!towards || at < 0) return;
      const next = (at + towards + run.length) % run.length;
      choose(run, next);
      list.children[next].focus();
    });
    return list;
  }

  let isDue = false;
  function arrange() {
    isDue = false;
    for (const run of comparisons()) {
      const count = String(run.length);
      if (run.every((step) => step.dataset.compared === count)) continue;
      run.forEach((step) => {
        step.dataset.compared = count;
        step.querySelector(":scope > .compared-tabs")?.remove();
      });
      run[0].parentElement.classList.add("comparing");
      run[0].prepend(tabs(run));
      choose(run, 0);
    }
  }

  document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(arrange);
  }).observe(document.body, { childList: true, subtree: true }));
}
