// The library by keyboard: / searches, arrows move between posters or rows, from the search too. Enter is the
// link's own.

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
  const links = items();
  if (event.key === "ArrowDown" && event.target === search && links.length) {
    event.preventDefault();
    links[0].focus();
  }
  if (typing(event.target)) return;
  if (event.key === "/") {
    event.preventDefault();
    search.select();
    return;
  }
  if (!links.length || event.target.closest("form, [popover]")) return;
  const here = links.indexOf(document.activeElement);
  const last = links.length - 1;
  const wide = columns(links);
  const places = {
    ArrowRight: Math.min(here + 1, last),
    ArrowLeft: Math.max(here - 1, 0),
    ArrowDown: Math.min(here + wide, last),
    ArrowUp: here < wide ? here : here - wide, // up from the first row is nowhere else
    Home: 0,
    End: last,
  };
  if (!(event.key in places) || (here < 0 && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  links[here < 0 ? 0 : places[event.key]].focus();
});

// "Show more" is gone when more is there: whoever stood on it stands on the first of them.
let stood = -1;
document.addEventListener("htmx:beforeSwap", (event) => {
  const more = event.detail.target.id === "more" && event.detail.target.contains(document.activeElement);
  stood = more ? items().length : -1;
});
document.addEventListener("htmx:afterSettle", () => {
  if (stood >= 0) items()[stood]?.focus();
  stood = -1;
});
