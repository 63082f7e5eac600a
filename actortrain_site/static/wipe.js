// "Slider": each prompt's pictures lie one over the other, and the edge between two versions moves under the
// pointer, in all prompts at once. At 0 the first version is seen, at 1 the second, and so on.

const room = document.querySelector(".cmp");
const ways = document.getElementById("ways");
const wipe = document.getElementById("wipe");
const range = wipe?.querySelector("input");
const wiping = () => room.classList.contains("is-wiped");

function move(at) {
  const left = Math.min(Math.floor(at), Number(range.max) - 1);
  range.value = at;
  room.style.setProperty("--at", at);
  room.style.setProperty("--edge", left + 1 - at);
  for (const names of room.querySelectorAll(".nums"))
    [...names.children].forEach((name, number) => (name.hidden = wiping() && number !== left && number !== left + 1));
  const [one, other] = room.querySelectorAll(".nums:first-child > :not([hidden])");
  const share = Math.round((at - left) * 100);
  if (one && other)
    range.setAttribute("aria-valuetext", `${100 - share} % ${one.textContent}, ${share} % ${other.textContent}`);
}

function choose(way) {
  room.classList.toggle("is-wiped", way === "wipe");
  wipe.hidden = way !== "wipe";
  for (const each of ways.children) each.ariaPressed = String(each.dataset.way === way);
  move(Number(range.value));
}

if (ways) {
  ways.hidden = false;
  ways.addEventListener("click", ({ target }) => target.dataset.way && choose(target.dataset.way));
  range.addEventListener("input", () => move(Number(range.value)));
  room.addEventListener("pointermove", (event) => {
    const frames = wiping() && event.target.closest(".pair .frames");
    if (!frames) return;
    const box = frames.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const left = Math.min(Math.floor(Number(range.value)), Number(range.max) - 1);
    move(left + 1 - Math.max(0.01, part)); // stays between the same two
  });
  room.addEventListener("dragstart", (event) => wiping() && event.preventDefault());
}
