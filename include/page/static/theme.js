// Dark or light as Airflow is: it keeps the choice in localStorage, and tells the other documents by an event.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    let chosen = null;
    try { chosen = localStorage.getItem("theme"); } catch { /* forbidden: as the system is */ }
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    dispatchEvent(new Event("themechange"));
  };
  addEventListener("storage", (event) => { if (event.key === "theme" || event.key === null) set(); });
  system.addEventListener("change", set);
  set();
})();
