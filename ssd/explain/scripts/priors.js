// The priors of the cell and of the map that are chosen.
section("priors", (element, data) => {
  const figure = element.querySelector("svg"), { width, height } = figure.viewBox.baseVal;
  const words = element.querySelector(".result"), output = element.querySelector(".sizes");
  let [chosen, row, column] = data.start;
  const show = cellGrid(figure, "chosen", (y, x) => {
    [row, column] = [y, x];
    draw();
  });
  const layer = figure.appendChild(svg("g"));

  // A box of fractions of the picture.
  const add = ([x0, y0, x1, y1], kind) =>
    layer.append(svg("rect", { ...rectangle([x0 * width, y0 * height, x1 * width, y1 * height]), class: kind }));

  function draw() {
    const { name, x, y, sizes, field: [start, step, size] } = data.maps[chosen], n = x.length;
    show(n, row, column);
    layer.replaceChildren();
    const left = start + column * step, top = start + row * step;
    add([left, top, left + size, top + size].map(pixel => clamp(pixel / data.input, 0, 1)), "field");
    sizes.forEach(([w, h], k) => {
      add([x[column] - w / 2, y[row] - h / 2, x[column] + w / 2, y[row] + h / 2], `box prior-${k}`);
    });
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === chosen));
    output.replaceChildren(table(
      ["", "r = w / h", "s", "w", "h"],
      data.maps[chosen].table.map(([r, ...pixels]) => ["", r.toFixed(2), ...pixels.map(side => side.toFixed(1))]),
      (cell, k) => { cell.className = `swatch prior-${k}`; }));
    words.textContent = `${name}: row ${row}, column ${column}, ${sizes.length} priors`;
  }

  const buttons = data.maps.map(({ name, x: { length: n } }, k) => {
    const button = element.querySelector(".controls").appendChild(document.createElement("button"));
    button.type = "button";
    button.title = name;
    button.textContent = `${n} x ${n}`;
    button.addEventListener("click", () => {
      const scale = n / data.maps[chosen].x.length;
      [row, column] = [row, column].map(place => Math.floor((place + 0.5) * scale));
      chosen = k;
      draw();
    });
    return button;
  });
  draw();
});
