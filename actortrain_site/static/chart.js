// Values under the pointer on a loss chart. Its points stand in data-points as "step,x,y,loss;…".

document.addEventListener("pointermove", (event) => {
  const chart = event.target.closest?.(".chart[data-points]");
  for (const other of document.querySelectorAll(".chart .probe"))
    if (other.ownerSVGElement !== chart) other.remove();
  if (!chart) return;
  const points = (chart.read ??= chart.dataset.points
    .split(";")
    .map((point) => point.split(",").map(Number)));
  const box = chart.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  const nearest = points.reduce((best, point) =>
    Math.abs(point[1] - x) < Math.abs(best[1] - x) ? point : best,
  );
  draw(chart, nearest);
});

function draw(chart, [step, x, y, loss]) {
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
