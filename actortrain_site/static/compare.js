// Samples of several versions: the slider and the steps show another part without loading the page.

const chooser = document.getElementById("parts");
const slider = chooser?.querySelector("input");
const links = [...(chooser?.querySelectorAll("a[data-part]") ?? [])];

function show(link) {
  for (const other of links) other.toggleAttribute("aria-current", other === link);
  link.setAttribute("aria-current", "true");
  slider.value = links.indexOf(link);
  slider.setAttribute("aria-valuetext", link.textContent);
  for (const pairs of document.querySelectorAll(".pairs[data-part]"))
    pairs.hidden = pairs.dataset.part !== link.dataset.part;
  for (const other of document.querySelectorAll("a[data-keep-part]")) {
    const address = new URL(other.href);
    address.searchParams.set("part", link.dataset.part);
    other.href = address;
  }
  history.replaceState(null, "", link.href);
}

if (links.length > 1) {
  slider.hidden = false;
  slider.value = links.findIndex((link) => link.ariaCurrent === "true");
  slider.setAttribute("aria-valuetext", links[slider.value].textContent);
  slider.addEventListener("input", () => show(links[slider.value]));
  chooser.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-part]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link);
  });
  // Hidden pictures are fetched before the slider asks for them, so that it never shows a gap.
  chooser.addEventListener(
    "pointerenter",
    () => document.querySelectorAll(".pairs[hidden] img").forEach((image) => (image.loading = "eager")),
    { once: true },
  );
}
