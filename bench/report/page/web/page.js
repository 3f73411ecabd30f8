"use strict";

/* The theme: the system's, or the reader's choice, kept where the browser keeps anything for files. */
const THEMES = ["system", "light", "dark"];
const themeButton = document.getElementById("theme");

function remembered() {
  try { return localStorage.getItem("theme") ?? "system"; } catch { return "system"; }
}

function setTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  themeButton.querySelector("span").textContent = name;
  try { localStorage.setItem("theme", name); } catch { /* a browser that keeps nothing: the choice lasts for this visit */ }
}

themeButton.hidden = false;
setTheme(THEMES.includes(remembered()) ? remembered() : "system");
themeButton.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "system";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});

/* The contents say which section is read. */
const links = new Map([...document.querySelectorAll(".contents ol a")].map((link) => [link.hash.slice(1), link]));
const inView = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) inView[entry.isIntersecting ? "add" : "delete"](entry.target.id);
  const first = [...links.keys()].find((name) => inView.has(name));
  if (first === undefined) return;
  for (const [name, link] of links) {
    if (name === first) {
      link.setAttribute("aria-current", "true");
      const row = link.closest("ol");
      row.scrollLeft = link.offsetLeft - row.offsetLeft - (row.clientWidth - link.offsetWidth) / 2;
    }
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-10% 0px -60% 0px" });
for (const section of document.querySelectorAll("main > section")) watcher.observe(section);

/* Long tables can be filtered: a row stays when every word that is typed occurs in it. */
const LONG = 20;
for (const table of document.querySelectorAll(".scroll > table")) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length <= LONG) continue;
  const label = document.createElement("label");
  label.className = "filter";
  label.textContent = `Filter ${rows.length} rows`;
  const input = document.createElement("input");
  input.type = "search";
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  label.append(input);
  table.parentElement.before(label);
}

/* On paper everything that is folded is open. */
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("main details")) fold.open = true;
});
