// The picture of the actor beside the samples: buttons, [ and ] show another one.

const pictures = [...document.querySelectorAll("#ref img")];
let shown = 0;

function move(by) {
  shown = (shown + by + pictures.length) % pictures.length;
  pictures.forEach((picture, number) => (picture.hidden = number !== shown));
  document.getElementById("ref-number").textContent = shown + 1;
}

if (pictures.length > 1) {
  document.getElementById("ref").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-ref]");
    if (button) move(Number(button.dataset.ref));
  });
  document.addEventListener("keydown", (event) => {
    const by = { "[": -1, "]": 1 }[event.key];
    if (by && !event.ctrlKey && !event.metaKey && !event.target.closest("input, textarea, select")) move(by);
  });
}
