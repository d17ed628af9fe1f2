"use strict";
// Class tables: sort by any column, filter by text and group. Without scripts the tables stay readable.

const GROUPS = ["many", "medium", "few"];
const NAMES = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function key(cell, kind) {
  const text = cell.textContent.trim();
  if (kind === "text") return text || null;
  if (kind === "group") return GROUPS.indexOf(text);
  const value = parseFloat(text.replaceAll(",", "").replace("−", "-"));
  return Number.isNaN(value) ? null : value;
}

function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null); // cells without a number come last in both directions
  return direction * (typeof a === "string" ? NAMES.compare(a, b) : a - b);
}

function sort(table, head) {
  const descending = head.ariaSort ? head.ariaSort === "ascending" : head.dataset.kind === "number";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const column = head.cellIndex, body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [key(row.cells[column], head.dataset.kind), row]);
  rows.sort((a, b) => compare(a[0], b[0], descending ? -1 : 1));
  body.append(...rows.map((pair) => pair[1]));
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
}

function makeFilterable(table, controls) {
  const [text, group, status] = ["input", "select", "output"].map((name) => controls.querySelector(name));
  const rows = Array.from(table.tBodies[0].rows, (row) => [
    row.cells[0].textContent.toLowerCase(), row.cells[1].textContent, row,
  ]);
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const [name, rowGroup, row] of rows) {
      row.hidden = !name.includes(wanted) || Boolean(group.value && rowGroup !== group.value);
      shown += !row.hidden;
    }
    status.value = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} classes`;
  };
  text.addEventListener("input", filter);
  group.addEventListener("change", filter);
  controls.hidden = false;
  filter();
}

for (const table of document.querySelectorAll("table.classes")) {
  makeSortable(table);
  makeFilterable(table, document.querySelector(".filter"));
}
