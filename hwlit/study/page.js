"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const line = style.getPropertyValue("--line").trim();
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  return { ink: style.getPropertyValue("--ink").trim(), axis };
}

function layout(figure) {
  const { ink, axis } = theme();
  return Object.assign({}, figure.layout, {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif", size: 12 },
    margin: { l: figure.layout.annotations ? 12 : 56, r: 12, t: 20, b: 48 }, hovermode: "closest",
    legend: { orientation: "h", y: -0.15, yanchor: "top", traceorder: "normal" },
    xaxis: Object.assign({}, figure.layout.xaxis, axis),
    yaxis: Object.assign({}, figure.layout.yaxis, axis),
  });
}

function draw() {
  for (const figure of figures) {
    Plotly.react(figure.name, figure.data, layout(figure), { responsive: true, displayModeBar: false });
  }
}

function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.number === undefined ? cell.textContent : Number(cell.dataset.number);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sort(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = Array.from(table.tBodies[0].rows);
  const known = rows.filter((row) => key(row, column) !== "");
  known.sort((a, b) => (down ? -1 : 1) * compare(key(a, column), key(b, column)));
  table.tBodies[0].append(...known, ...rows.filter((row) => key(row, column) === ""));
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
    cell.querySelector("button").addEventListener("click", () => sort(table, column));
  });
}
if (figures.length) {
  draw();
  dark.addEventListener("change", draw);
}
