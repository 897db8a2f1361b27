"use strict";
(function () {
  const root = document.documentElement;
  root.classList.add("js");

  // Light and dark: the system's choice until the button is used; remembered where the browser allows it.
  const button = document.getElementById("theme");
  const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  const system = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  function show(theme) {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", "switch to " + button.textContent + " colours");
  }
  show(stored || system);
  button.addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    show(theme);
    try { localStorage.setItem("theme", theme); } catch { /* files may have no storage */ }
  });

  // Code folds cell by cell and all at once.
  const fold = document.getElementById("fold");
  if (fold) {
    fold.addEventListener("click", () => {
      const open = fold.textContent === "show code";
      document.querySelectorAll("details.code").forEach((d) => { d.open = open; });
      fold.textContent = open ? "hide code" : "show code";
    });
  }

  // What scrolls sideways can be reached and scrolled by keyboard.
  const sideways = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    if (target.scrollWidth > target.clientWidth) { target.tabIndex = 0; } else { target.removeAttribute("tabindex"); }
  }));
  document.querySelectorAll("pre, .scroll, math[display=block]").forEach((e) => sideways.observe(e));

  // Interactive figures. Their static twins stay for paper, and for a browser that can't unpack plotly.
  const packed = document.getElementById("plotly");
  async function draw() {
    const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    root.classList.add("drawn");
    for (const div of document.querySelectorAll("div.plot")) {
      const spec = JSON.parse(document.getElementById(div.id + "-data").textContent);
      await Plotly.newPlot(div, spec.data, spec.layout, { displaylogo: false, displayModeBar: false, responsive: true });
      if (spec.frames.length) { await Plotly.addFrames(div, spec.frames); }
    }
  }
  if (packed && window.DecompressionStream) { draw(); }

  // Tables with filters: one choice per column named in data-filters.
  document.querySelectorAll("table[data-filters]").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells].map((c) => c.textContent);
    const rows = [...table.tBodies[0].rows];
    const bar = document.createElement("p");
    bar.className = "filters";
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    const choices = table.dataset.filters.split("|").map((name) => {
      const column = heads.indexOf(name);
      const label = document.createElement("label");
      const select = document.createElement("select");
      const values = [...new Set(rows.map((r) => r.cells[column].textContent))].sort();
      for (const value of ["", ...values]) {
        select.add(new Option(value || "all", value));
      }
      label.append(name + " ", select);
      bar.append(label);
      return { column, select };
    });
    function apply() {
      let shown = 0;
      for (const row of rows) {
        row.hidden = choices.some((c) => c.select.value && row.cells[c.column].textContent !== c.select.value);
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = shown + " of " + rows.length;
    }
    choices.forEach((c) => c.select.addEventListener("change", apply));
    bar.append(count);
    table.parentNode.insertBefore(bar, table);
    apply();
  });

  // A failed notebook opens at the failing cell.
  if (document.body.classList.contains("has-failed") && !location.hash) {
    const failed = document.getElementById("failed");
    if (failed) { failed.scrollIntoView(); }
  }
})();
