// Samples large: a click opens, arrows move within a strip and between strips, Escape closes.

const viewer = document.getElementById("viewer");
let shown;

const strips = () =>
  [...document.querySelectorAll("[data-gallery]:not([hidden]) .film")]
    .map((strip) => [...strip.querySelectorAll("a[data-sample]")])
    .filter((strip) => strip.length);

function show(link) {
  shown = link.dataset.sample; // links are signed anew with every poll
  const image = document.getElementById("viewer-image");
  image.src = link.href;
  image.alt = link.querySelector("img").alt;
  document.getElementById("viewer-words").textContent = link.dataset.sample;
}

function move(key) {
  const all = strips();
  const row = all.findIndex((strip) => strip.some((link) => link.dataset.sample === shown));
  if (row < 0) return;
  const column = all[row].findIndex((link) => link.dataset.sample === shown);
  const target = {
    ArrowLeft: all[row][column - 1],
    ArrowRight: all[row][column + 1],
    ArrowUp: all[row - 1]?.[Math.min(column, (all[row - 1]?.length ?? 0) - 1)],
    ArrowDown: all[row + 1]?.[Math.min(column, (all[row + 1]?.length ?? 0) - 1)],
  }[key];
  if (target) show(target);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-sample]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    show(link);
    viewer.showModal();
  }
});
viewer?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (button) move(button.dataset.move);
  if (event.target === viewer || event.target.closest("#viewer-close")) viewer.close();
});
viewer?.addEventListener("keydown", (event) => {
  if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  move(event.key);
});
