// Values on a loss chart, under the pointer or by arrow keys. Its points stand in data-points as "step,x,y,loss;…".

const pointsOf = (chart) =>
  (chart.read ??= chart.dataset.points.split(";").map((point) => point.split(",").map(Number)));

function forget(kept) {
  for (const probe of document.querySelectorAll(".chart .probe"))
    if (probe.ownerSVGElement !== kept) probe.remove();
}

document.addEventListener("pointermove", (event) => {
  const chart = event.target.closest?.(".chart[data-points]");
  forget(chart ?? document.activeElement);
  if (!chart) return;
  const box = chart.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  draw(
    chart,
    pointsOf(chart).reduce((best, point) => (Math.abs(point[1] - x) < Math.abs(best[1] - x) ? point : best)),
  );
});

// From the end of the curve backwards: that is where people look first.
document.addEventListener("keydown", (event) => {
  const chart = event.target.closest?.(".chart[data-points]");
  if (!chart) return;
  const points = pointsOf(chart);
  const last = points.length - 1;
  const at = points.findIndex(([step]) => String(step) === chart.dataset.at);
  const now = at < 0 ? last : at;
  const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  draw(chart, points[Math.min(last, Math.max(0, at < 0 ? last : next))]);
});
document.addEventListener("focusout", ({ target }) => target.matches(".chart[data-points]") && forget());

function draw(chart, [step, x, y, loss]) {
  chart.dataset.at = step;
  const name = "http://www.w3.org/2000/svg";
  const probe = chart.querySelector(".probe") ?? chart.appendChild(document.createElementNS(name, "g"));
  probe.setAttribute("class", "probe");
  const line = document.createElementNS(name, "line");
  for (const [key, value] of Object.entries({ class: "mark", x1: x, x2: x, y1: 8, y2: 176 }))
    line.setAttribute(key, value);
  const dot = document.createElementNS(name, "circle");
  for (const [key, value] of Object.entries({ cx: x, cy: y, r: 3 })) dot.setAttribute(key, value);
  const text = document.createElementNS(name, "text");
  text.setAttribute("class", x > 300 ? "strong end" : "strong");
  text.setAttribute("x", x > 300 ? x - 6 : x + 6);
  text.setAttribute("y", 18);
  text.textContent = `${step.toLocaleString("en")}: ${loss.toPrecision(3)}`;
  probe.replaceChildren(line, dot, text);
}
