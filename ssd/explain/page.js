"use strict";

// What the sections' scripts share. Each script is `section(key, (element, data) => ...)`; data is the Section's.
function section(key, start) {
  const element = document.getElementById(key), json = element?.querySelector('script[type="application/json"]');
  if (element?.querySelector("figure")) start(element, json && JSON.parse(json.textContent));
}

function svg(name, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  element.textContent = text;
  return set(element, attributes);
}

function set(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// A table in a box that scrolls where the table is wider. mark(cell, k): changes the first cell of row k.
function table(heads, rows, mark) {
  const box = document.createElement("div"), made = box.appendChild(document.createElement("table"));
  box.className = "wide";
  [heads, ...rows].forEach((cells, k) => {
    const line = made.insertRow();
    for (const cell of cells) line.appendChild(document.createElement(k ? "td" : "th")).textContent = cell;
    if (k) mark(line.cells[0], k - 1);
  });
  return box;
}

// The place of a mouse or finger in the units of an SVG's viewBox.
function place(figure, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.getScreenCTM().inverse());
  return [point.x, point.y];
}

// The attributes of a <rect> for a box [x_min, y_min, x_max, y_max].
function rectangle([x0, y0, x1, y1]) {
  return { x: x0, y: y0, width: Math.max(x1 - x0, 0), height: Math.max(y1 - y0, 0) };
}

// Calls move(dx, dy) when an arrow key is pressed on an element.
function onArrows(element, move) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  element.addEventListener("keydown", event => {
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move(...steps[event.key]);
  });
}

// Makes a figure a grid of cells. The reader chooses one by a click, or with the arrow keys from the one that is chosen,
// the only one that is an element: choose(row, column). Returns show(n, row, column), which draws n x n cells.
function cellGrid(figure, kind, choose) {
  const { width, height } = figure.viewBox.baseVal;
  const lines = svg("g"), rows = svg("g", { role: "row" }), cell = svg("rect", { class: kind, role: "gridcell", tabindex: 0 });
  let n, row, column;
  rows.append(cell);
  set(figure, { role: "grid" }).append(lines, rows);
  const go = (y, x) => choose(clamp(y, 0, n - 1), clamp(x, 0, n - 1));
  figure.addEventListener("click", event => {
    const [x, y] = place(figure, event);
    go(Math.floor(y / height * n), Math.floor(x / width * n));
  });
  onArrows(cell, (dx, dy) => go(row + dy, column + dx));

  return (...shown) => {
    [n, row, column] = shown;
    const places = Array.from({ length: n - 1 }, (_, k) => (k + 1) / n);
    lines.replaceChildren(...places.flatMap(at => [
      svg("line", { x1: at * width, x2: at * width, y1: 0, y2: height, class: "grid" }),
      svg("line", { x1: 0, x2: width, y1: at * height, y2: at * height, class: "grid" })]));
    set(figure, { "aria-rowcount": n, "aria-colcount": n });
    set(rows, { "aria-rowindex": row + 1 });
    set(cell, {
      x: column * width / n, y: row * height / n, width: width / n, height: height / n,
      "aria-colindex": column + 1, "aria-label": `row ${row}, column ${column}` });
  };
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function area(box) {
  return Math.max(box[2] - box[0], 0) * Math.max(box[3] - box[1], 0);
}

function intersection(a, b) {
  return [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
}

// IoU of two boxes [x_min, y_min, x_max, y_max] in any unit, as ssd.model.boxes.paired_iou.
function iou(a, b) {
  const inside = area(intersection(a, b));
  const union = area(a) + area(b) - inside;
  return union > 0 ? inside / union : 0;
}
