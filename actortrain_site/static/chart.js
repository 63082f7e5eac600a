// Values on a loss chart, under the pointer or by arrow keys. Its points stand in data-points as "step,x,y,loss;…".

const pointsOf = (chart) =>
  (chart.read ??= chart.dataset.points.split(";").map((point) => point.split(",").map(Number)));

// Of compared versions: the names, this one's first, and the values of the others.
const namedOf = (chart) => (chart.named ??= JSON.parse(chart.dataset.named || "[]"));

const nearest = (points, far) => points.reduce((best, point) => (far(point) < far(best) ? point : best));

// In the order of the key below the chart: the newest version first.
function words(chart, step, loss) {
  const [own = [], ...others] = namedOf(chart);
  const said = (own.length ? [own, ...others.reverse()] : []).flatMap(([name, points], number) => {
    if (number && !points.length) return [];
    const value = number ? nearest(points, ([at]) => Math.abs(at - step))[1] : loss;
    return [`${name} ${value.toPrecision(3)}`];
  });
  const at = step.toLocaleString("en");
  return said.length ? [at, ...said] : [`${at}: ${loss.toPrecision(3)}`];
}

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
  draw(chart, nearest(pointsOf(chart), (point) => Math.abs(point[1] - x)));
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
  const lines = words(chart, step, loss).map((said, number) => {
    const text = document.createElementNS(name, "text");
    text.setAttribute("class", x > 300 ? "strong end" : "strong");
    text.setAttribute("x", x > 300 ? x - 6 : x + 6);
    text.setAttribute("y", 18 + 13 * number);
    text.textContent = said;
    return text;
  });
  probe.replaceChildren(line, dot, ...lines);
}
