// What happens to each candidate [label, score, x_min, y_min, x_max, y_max]; they come best first. The rules are those
// of ssd.model.postprocess.select_detections. A fate is {stage}: "score" (too low), "limit" (of its class), "overlap"
// (by the candidate `by`, at IoU `overlap`), "top" (too many), or "kept".
function fates(candidates, minScore, maxOverlap, topK, maxPerClass) {
  const seen = {}, kept = {};
  let nKept = 0;
  return candidates.map(([label, score, ...box], index) => {
    if (score <= minScore) return { stage: "score" };
    seen[label] = (seen[label] || 0) + 1;
    if (seen[label] > maxPerClass) return { stage: "limit" };
    const better = kept[label] = kept[label] || [];
    for (const by of better) {
      const overlap = iou(candidates[by].slice(2), box);
      if (overlap > maxOverlap) return { stage: "overlap", by, overlap };
    }
    better.push(index);
    nKept += 1;
    return { stage: nKept <= topK ? "kept" : "top" };
  });
}

section("suppression", (element, data) => {
  const figure = element.querySelector("svg"), { width, height } = figure.viewBox.baseVal;
  const boxes = figure.appendChild(svg("g", { class: "boxes" })), chosen = figure.appendChild(svg("g"));
  const counts = element.querySelector(".counts"), answer = element.querySelector(".answer");
  const sliders = [...element.querySelectorAll("input")];
  const name = index => `${data.names[data.candidates[index][0]]} ${data.candidates[index][1].toFixed(2)}`;
  let all, picked;

  function outline(index, kind) {
    const [label, , x_min, y_min, x_max, y_max] = data.candidates[index];
    const box = rectangle([x_min * width, y_min * height, x_max * width, y_max * height]);
    return svg("rect", { ...box, stroke: data.colours[label], class: `box ${kind}` });
  }

  function tag(index) {
    const [, , x_min, y_min, x_max] = data.candidates[index];
    const place = x_min < 0.75 ? { x: x_min * width + 4 } : { x: x_max * width - 4, "text-anchor": "end" };
    return svg("text", { ...place, y: y_min * height + 16, class: "on-photo" }, name(index));
  }

  // Names of boxes, best first; one that would lie across another is left out.
  function addTags(kept) {
    const places = [];
    for (const index of kept) {
      const made = boxes.appendChild(tag(index)), { x, y, width, height } = made.getBBox();
      const isFree = places.every(b => x + width < b.x || b.x + b.width < x || y + height < b.y || b.y + b.height < y);
      if (isFree) places.push({ x, y, width, height });
      else made.remove();
    }
  }

  function update() {
    const [minScore, maxOverlap] = sliders.map(slider => Number(slider.value));
    for (const slider of sliders) slider.previousElementSibling.textContent = Number(slider.value).toFixed(2);
    all = fates(data.candidates, minScore, maxOverlap, data.top_k, data.max_per_class);
    const kept = at("kept");
    boxes.replaceChildren(
      ...at("overlap").map(k => outline(k, "thin dashed")), ...kept.map(k => outline(k, "kept")));
    addTags(kept);
    counts.textContent = [
      `${data.pairs} pairs of prior and class`, `${all.length - at("score").length} above this score`,
      `${at("overlap", "top", "kept").length} of them among the ${data.max_per_class} best of their class`,
      `${at("top", "kept").length} not suppressed`,
      `${kept.length} detections`].join(" → ");
    picked = undefined;
    answer.textContent = "";
    chosen.replaceChildren();
  }

  // The candidates in some of the stages, best first.
  const at = (...stages) => [...all.keys()].filter(k => stages.includes(all[k].stage));

  // The smallest drawn box around a point, if there is one.
  function boxAround(x, y) {
    const size = k => area(data.candidates[k].slice(2));
    return at("overlap", "kept").sort((a, b) => size(a) - size(b)).find(k => {
      const [, , x_min, y_min, x_max, y_max] = data.candidates[k];
      return x_min <= x && x <= x_max && y_min <= y && y <= y_max;
    });
  }

  function explain(index) {
    if (index === undefined) return;
    const { stage, by, overlap } = all[picked = index];
    chosen.replaceChildren(...[index, by].filter(k => k !== undefined).map(k => outline(k, "picked")));
    const own = all.filter(fate => fate.by === index).length;
    answer.textContent = stage === "kept" ? `${name(index)} is kept; it suppressed ${own}.`
      : `${name(index)} is suppressed by ${name(by)}: their IoU is ${overlap.toFixed(3)}.`;
    set(chosen.firstChild, { id: "picked", role: "option", "aria-selected": true, "aria-label": answer.textContent });
  }

  figure.addEventListener("click", event => {
    const [x, y] = place(figure, event);
    explain(boxAround(x / width, y / height));
  });
  onArrows(figure, (dx, dy) => {
    const drawn = at("overlap", "kept");
    explain(drawn[clamp(drawn.indexOf(picked) + dx + dy, 0, drawn.length - 1)]);
  });
  set(figure, { tabindex: 0, role: "listbox", "aria-activedescendant": "picked" });
  for (const slider of sliders) slider.addEventListener("input", update);
  update();
});
