// The channels of a chosen cell, and the rows of the tables of predictions that they become.
section("predictions", (element, data) => {
  const output = element.querySelector(".channels"), words = element.querySelector("[aria-live]"), n = data.cells;
  const show = cellGrid(element.querySelector("svg"), "box prior", choose);
  const hue = prior => `hsl(${prior * 360 / data.priors} 75% 45%)`;

  // One square for each channel of rows of n values, blue below 0 and red above, over a line in its prior's colour.
  function strip(rows) {
    const values = rows.flat(), size = 600 / values.length, most = Math.max(...values.map(Math.abs));
    const drawn = svg("svg", { viewBox: "0 0 600 32", role: "img", "aria-label": `${values.length} channels` });
    values.forEach((value, k) => {
      const fill = value < 0 ? "#2e7dff" : "#e6552d", prior = Math.floor(k / rows[0].length);
      const square = svg("rect", { x: k * size, y: 0, width: size, height: 22, fill, "fill-opacity": Math.abs(value) / most });
      square.append(svg("title", {}, `channel ${k}: ${value}`));
      drawn.append(square, svg("rect", { x: k * size, y: 25, width: size, height: 6, fill: hue(prior) }));
    });
    return drawn;
  }

  function paragraph(words) {
    const made = document.createElement("small");
    made.textContent = words;
    return made;
  }

  function rows(first, locs, scores) {
    const names = data.shown.map(label => data.names[label]), more = data.names.length > data.shown.length ? ["..."] : [];
    const cells = locs.map((row, k) => [
      first + k, ...[...row, ...data.shown.map(label => scores[k][label])].map(value => value.toFixed(2)), ...more]);
    return table(["row", "g_cx", "g_cy", "g_w", "g_h", ...names, ...more], cells,
      (cell, k) => { cell.style.borderLeft = `6px solid ${hue(k)}`; });
  }

  function choose(y, x) {
    const start = (y * n + x) * data.priors;
    show(n, y, x);
    const [locs, scores] = [data.locs, data.scores].map(part => part.slice(start, start + data.priors));
    words.textContent = `Cell y = ${y}, x = ${x}: ${locs.flat().length} channels of offsets`;
    output.replaceChildren(
      strip(locs),
      paragraph(`${scores.flat().length} channels of scores`), strip(scores),
      paragraph("Their rows in the tables of predictions"), rows(data.first + start, locs, scores));
  }

  choose(Math.floor(data.chosen / n), data.chosen % n);
});
