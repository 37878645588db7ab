(() => {
  let saved = null;
  try { saved = localStorage.getItem("synthood-theme"); } catch { /* a file may have no storage */ }
  const dark = saved ? saved === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
