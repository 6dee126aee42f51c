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

// The place of a mouse or finger in the units of an SVG's viewBox.
function place(figure, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.getScreenCTM().inverse());
  return [point.x, point.y];
}

// The attributes of a <rect> for a box [x_min, y_min, x_max, y_max].
function rectangle([x0, y0, x1, y1]) {
  return { x: x0, y: y0, width: Math.max(x1 - x0, 0), height: Math.max(y1 - y0, 0) };
}

// The lines between n x n cells.
function grid(n, width, height) {
  const places = Array.from({ length: n - 1 }, (_, k) => (k + 1) / n);
  return places.flatMap(at => [
    svg("line", { x1: at * width, x2: at * width, y1: 0, y2: height, class: "grid" }),
    svg("line", { x1: 0, x2: width, y1: at * height, y2: at * height, class: "grid" })]);
}

// Row and column of the cell, of n x n, where an event happened.
function cellAt(figure, n, event) {
  const [x, y] = place(figure, event), { width, height } = figure.viewBox.baseVal;
  return [y / height, x / width].map(share => clamp(Math.floor(share * n), 0, n - 1));
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
