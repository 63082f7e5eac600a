// The library by keyboard: / searches, arrows move between posters or rows. Enter is the link's own.

const typing = (element) =>
  element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
const items = () => [...document.querySelectorAll("#sheet a[data-item]")];

function columns(links) {
  const top = links[0].getBoundingClientRect().top;
  const second = links.findIndex((link) => link.getBoundingClientRect().top > top + 4);
  return second < 0 ? links.length : second;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.getElementById("q");
  if (event.key === "Escape" && event.target === search) search.blur();
  if (typing(event.target)) return;
  if (event.key === "/") {
    event.preventDefault();
    search.select();
    return;
  }
  const links = items();
  if (!links.length || event.target.closest("form, [popover]")) return;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(links), ArrowUp: -columns(links) };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const here = links.indexOf(document.activeElement);
  const next = here < 0 ? 0 : Math.min(links.length - 1, Math.max(0, here + step));
  links[next].focus();
});
