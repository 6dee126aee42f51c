// The priors of the cell that is clicked, on the map that is chosen.
section("priors", (element, data) => {
  const figure = element.querySelector("svg.cells");
  const [width, height] = figure.getAttribute("viewBox").split(" ").slice(2).map(Number);
  const buttons = element.querySelectorAll("button"), tables = element.querySelectorAll(".sizes");
  const words = element.querySelector(".result"), layer = figure.appendChild(svg("g", {}));
  let [chosen, row, column] = data.start;

  const box = (cx, cy, w, h) => [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height];
  const add = (corners, kind) => setBox(layer.appendChild(svg("rect", {class: kind})), corners);

  function draw() {
    const {name, x, y, sizes, field} = data.maps[chosen], n = x.length;
    layer.replaceChildren();
    for (let k = 1; k < n; k++) {
      layer.append(svg("line", {x1: k / n * width, x2: k / n * width, y1: 0, y2: height, class: "grid"}));
      layer.append(svg("line", {y1: k / n * height, y2: k / n * height, x1: 0, x2: width, class: "grid"}));
    }
    add([column / n * width, row / n * height, (column + 1) / n * width, (row + 1) / n * height], "chosen");
    const [start, step, size] = field, edge = (k, side) => clamp(k / data.input, 0, 1) * side;
    const left = start + column * step, top = start + row * step;
    add([edge(left, width), edge(top, height), edge(left + size, width), edge(top + size, height)], "field");
    sizes.forEach(([w, h], k) => add(box(x[column], y[row], w, h), `box prior-${k}`));
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === chosen));
    tables.forEach((table, k) => { table.hidden = k !== chosen; });
    words.textContent = `${name}: row ${row}, column ${column}, ${sizes.length} priors`;
  }

  buttons.forEach((button, k) => button.addEventListener("click", () => {
    const scale = data.maps[k].x.length / data.maps[chosen].x.length;
    [row, column] = [row, column].map(place => Math.floor((place + 0.5) * scale));
    chosen = k;
    draw();
  }));
  figure.addEventListener("click", event => {
    const n = data.maps[chosen].x.length, [x, y] = place(figure, event);
    row = clamp(Math.floor(y / height * n), 0, n - 1);
    column = clamp(Math.floor(x / width * n), 0, n - 1);
    draw();
  });
  draw();
});
