// Light or dark, before the first paint: no module, which would run after it. Without a choice it is the system's.

(() => {
  const kept = "alex-theme";
  const root = document.documentElement;
  /** @param {string | null} theme */
  const show = (theme) => (theme ? root.setAttribute("data-theme", theme) : root.removeAttribute("data-theme"));

  try {
    show(localStorage.getItem(kept));
  } catch {
    // A browser may keep nothing: then the switch lasts as long as the page.
  }
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
      const system = isDark ? "dark" : "light";
      const shown = root.getAttribute("data-theme") ?? system;
      const next = shown === "dark" ? "light" : "dark";
      // Back at the system's choice, the page follows the system again.
      show(next === system ? null : next);
      try {
        if (next === system) localStorage.removeItem(kept);
        else localStorage.setItem(kept, next);
      } catch {
        // As above.
      }
    });
  });
})();
