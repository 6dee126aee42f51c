// Two boxes to drag, by their areas or by their lower right corners.
section("overlap", (element, data) => {
  const figure = element.querySelector("svg");
  const [width, height] = figure.getAttribute("viewBox").split(" ").slice(2).map(Number);
  const areas = figure.querySelectorAll(".area"), handles = figure.querySelectorAll(".handle");
  const outputs = element.querySelectorAll("output");
  const boxes = data.boxes;
  let held = null;  // which box, whether by its corner, and where it was taken

  function draw() {
    boxes.forEach((box, k) => {
      setBox(areas[k], box);
      handles[k].setAttribute("cx", box[2]);
      handles[k].setAttribute("cy", box[3]);
    });
    setBox(figure.querySelector(".common"), intersection(...boxes));
    const inside = area(intersection(...boxes));
    const pixels = [inside, area(boxes[0]) + area(boxes[1]) - inside].map(value => value * data.scale ** 2);
    [pixels[0].toFixed(0), pixels[1].toFixed(0), iou(...boxes).toFixed(3)].forEach((text, k) => {
      outputs[k].value = text;
    });
  }

  function take(k, corner, event) {
    held = {k, corner, from: place(figure, event), box: [...boxes[k]]};
    figure.setPointerCapture(event.pointerId);
    event.preventDefault();
  }
  handles.forEach((handle, k) => handle.addEventListener("pointerdown", event => take(k, true, event)));
  areas.forEach((box, k) => box.addEventListener("pointerdown", event => take(k, false, event)));
  figure.addEventListener("pointermove", event => {
    if (!held) return;
    const [x, y] = place(figure, event), [x0, y0, x1, y1] = held.box;
    const dx = x - held.from[0], dy = y - held.from[1];
    if (held.corner) {
      boxes[held.k] = [x0, y0, clamp(x1 + dx, x0 + 4, width), clamp(y1 + dy, y0 + 4, height)];
    } else {
      const right = clamp(dx, -x0, width - x1), down = clamp(dy, -y0, height - y1);
      boxes[held.k] = [x0 + right, y0 + down, x1 + right, y1 + down];
    }
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) figure.addEventListener(end, () => { held = null; });
});
