// Two boxes to drag, by their areas or by their lower right corners.
section("overlap", (element, { boxes, scale }) => {
  const figure = element.querySelector("svg"), { width, height } = figure.viewBox.baseVal;
  const outputs = element.querySelectorAll("output"), kinds = ["truth", "prior"];
  const add = (name, attributes) => figure.appendChild(svg(name, attributes));
  const areas = kinds.map(kind => add("rect", { class: `box area ${kind}` }));
  const common = add("rect", { class: "common" });
  const handles = kinds.map(kind => add("circle", { r: 10, class: `handle ${kind}` }));
  let held = null;  // which box, whether by its corner, and where it was taken

  function draw() {
    boxes.forEach((box, k) => {
      set(areas[k], rectangle(box));
      set(handles[k], { cx: box[2], cy: box[3] });
    });
    set(common, rectangle(intersection(...boxes)));
    const inside = area(intersection(...boxes)), union = area(boxes[0]) + area(boxes[1]) - inside;
    outputs[0].value = (inside * scale ** 2).toFixed(0);
    outputs[1].value = (union * scale ** 2).toFixed(0);
    outputs[2].value = iou(...boxes).toFixed(3);
  }

  // Moves a box, or only its corner, from where it was.
  function move(k, [x0, y0, x1, y1], corner, dx, dy) {
    if (corner) {
      boxes[k] = [x0, y0, clamp(x1 + dx, x0 + 4, width), clamp(y1 + dy, y0 + 4, height)];
    } else {
      const right = clamp(dx, -x0, width - x1), down = clamp(dy, -y0, height - y1);
      boxes[k] = [x0 + right, y0 + down, x1 + right, y1 + down];
    }
    draw();
  }

  function take(k, corner, event) {
    held = { k, corner, from: place(figure, event), box: boxes[k] };
    figure.setPointerCapture(event.pointerId);
    event.preventDefault();
  }
  [...areas, ...handles].forEach((part, place) => {
    const k = place % 2, corner = place > 1, colour = ["green", "orange"][k];
    set(part, { tabindex: 0, role: "button", "aria-label": `${corner ? "lower right corner of the " : ""}${colour} box` });
    part.addEventListener("pointerdown", event => take(k, corner, event));
    onArrows(part, (dx, dy) => move(k, boxes[k], corner, 5 * dx, 5 * dy));
  });
  set(figure, { role: "group" });
  figure.addEventListener("pointermove", event => {
    if (!held) return;
    const [x, y] = place(figure, event);
    move(held.k, held.box, held.corner, x - held.from[0], y - held.from[1]);
  });
  for (const end of ["pointerup", "pointercancel"]) figure.addEventListener(end, () => { held = null; });
  draw();
});
