// The crop hint: drawn, moved and resized on the image. What counts is the field, which the keyboard reaches.

const svg = document.getElementById("crop-hint");
const field = document.getElementById("crop");
const away = document.getElementById("no-crop");
const NEAR = 14; // pixels from a corner that still take hold of it
const SMALLEST = 0.01;

const [shade, rect, corners] = svg ? svg.children : [];

// Left, top, right, bottom as parts of the picture; null for none or for what is no crop hint.
function read() {
  const parts = field.value.trim().split(/[\s,]+/).map((part) => Number(part) / 100);
  if (parts.length !== 4 || !parts.every((part) => part >= 0 && part <= 1)) return null;
  const [left, top, width, height] = parts;
  return width && height && left + width <= 1.0001 && top + height <= 1.0001
    ? [left, top, left + width, top + height]
    : null;
}

function write([left, top, right, bottom]) {
  const percent = (part) => String(Math.round(part * 1000) / 10);
  field.value = [left, top, right - left, bottom - top].map(percent).join(" ");
  draw();
}

function draw() {
  const box = read();
  rect.toggleAttribute("hidden", !box);
  away.hidden = !field.value;
  if (!box) {
    for (const path of [shade, corners]) path.setAttribute("d", "");
    for (const name of ["x", "y", "width", "height"]) rect.setAttribute(name, 0);
    return;
  }
  const [left, top, right, bottom] = box;
  const [width, height] = [right - left, bottom - top];
  Object.entries({ x: left, y: top, width, height }).forEach(([name, value]) => rect.setAttribute(name, value));
  shade.setAttribute("d", `M0 0H1V1H0ZM${left} ${top}h${width}v${height}h${-width}Z`);
  corners.setAttribute("d", [[left, top], [right, top], [left, bottom], [right, bottom]].map(([x, y]) => `M${x} ${y}h0`).join(""));
}

const inside = (part) => Math.min(1, Math.max(0, part));
function point(event) {
  const area = svg.getBoundingClientRect();
  return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
}

// What the pointer takes hold of: a corner (named by the edges that follow), the inside, or nothing.
function grip(event) {
  const box = read();
  if (!box) return null;
  const area = svg.getBoundingClientRect();
  const [x, y] = point(event);
  const near = (part, edge, size) => Math.abs(part - edge) * size < NEAR;
  for (const across of [0, 2])
    for (const down of [1, 3])
      if (near(x, box[across], area.width) && near(y, box[down], area.height)) return { box, across, down };
  return x > box[0] && x < box[2] && y > box[1] && y < box[3] ? { box } : null;
}

let drag = null;
function follow(event) {
  const [x, y] = point(event);
  if (drag.across !== undefined) {
    const box = [...drag.box];
    [box[drag.across], box[drag.down]] = [x, y];
    const sorted = [Math.min(box[0], box[2]), Math.min(box[1], box[3]), Math.max(box[0], box[2]), Math.max(box[1], box[3])];
    if (sorted[2] - sorted[0] >= SMALLEST && sorted[3] - sorted[1] >= SMALLEST) write(sorted);
    return;
  }
  const [left, top, right, bottom] = drag.box;
  const dx = Math.min(1 - right, Math.max(-left, x - drag.from[0]));
  const dy = Math.min(1 - bottom, Math.max(-top, y - drag.from[1]));
  write([left + dx, top + dy, right + dx, bottom + dy]);
}

if (svg && field) {
  svg.classList.add("ready");
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const [x, y] = point(event);
    drag = { across: 2, down: 3, box: [x, y, x, y], from: [x, y], ...(grip(event) && { across: undefined, down: undefined, ...grip(event) }) };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (drag) follow(event);
    else {
      const held = grip(event);
      svg.dataset.over = held ? (held.across === undefined ? "inside" : "corner") : "";
    }
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (drag = null));
  field.addEventListener("input", draw);
  away.addEventListener("click", () => {
    field.value = "";
    draw();
    field.focus();
  });
  draw();
}
