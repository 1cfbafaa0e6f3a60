"use strict";
// Sorting, finding and copying. The page says all that it has to say without them.
const told = document.getElementById("told");

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.querySelectorAll("thead th:has(button)"));
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const byName = column === 0;
      const was = head.getAttribute("aria-sort");
      const way = was === null ? (byName ? "ascending" : "descending") : was === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      // Rows come in the order of their names; a row without the number goes last, whichever way.
      const key = (row, place) => (byName ? place : parseFloat(row.cells[column].dataset.v));
      const keyed = rows.map((row, place) => [key(row, place), place, row]);
      keyed.sort((a, b) => {
        const missing = isNaN(a[0]) - isNaN(b[0]);
        return missing || (isNaN(a[0]) ? 0 : sign * (a[0] - b[0])) || a[1] - b[1];
      });
      body.append(...keyed.map((each) => each[2]));
      told.textContent = `Sorted by ${head.dataset.name}, ${way}.`;
    });
  });
}

// Only a table that is wider than its place scrolls, and says so.
const hints = new Map();
for (const place of document.querySelectorAll(".scroll")) {
  const hint = document.createElement("p");
  hint.className = "more";
  hint.textContent = "The table is wider than the page: it scrolls sideways \u2192";
  place.before(hint);
  hints.set(place, hint);
}
const measure = () => {
  for (const [place, hint] of hints) hint.hidden = place.scrollWidth <= place.clientWidth + 1;
};
measure();
addEventListener("resize", measure);
document.addEventListener("toggle", measure, true);

for (const label of document.querySelectorAll("label.find")) {
  label.hidden = false;
  const input = label.querySelector("input");
  const body = document.getElementById(input.dataset.table).tBodies[0];
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    let n = 0;
    for (const row of body.rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      n += !row.hidden;
    }
    told.textContent = `${n} rows.`;
  });
}

const copy = document.getElementById("copy");
copy.addEventListener("click", async () => {
  const text = document.getElementById("methods-text");
  const selection = getSelection();
  selection.selectAllChildren(text);
  let done = document.execCommand("copy"); // works from a file, where the newer way may be refused
  if (!done) {
    try {
      await navigator.clipboard.writeText(text.textContent);
      done = true;
    } catch {
      done = false;
    }
  }
  if (done) {
    selection.removeAllRanges();
  }
  copy.textContent = done ? "Copied" : "Selected: copy it with the keyboard";
  told.textContent = copy.textContent;
  setTimeout(() => { copy.textContent = "Copy"; }, 4000);
});
