// Selection in the library: it outlives filters, pages and reloads of this tab, and plans a batch.

const KEY = "selected actors";
const chosen = new Set(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));
// Found anew each time: going back brings another one, and a load that is broken off ends before it.
const bar = () => document.getElementById("selection");
const boxes = () => document.querySelectorAll('#sheet input[name="actor"]');

function show() {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  if (!bar()) return;
  bar().toggleAttribute("data-some", chosen.size > 0);
  bar().querySelector("[data-count]").textContent = chosen.size.toLocaleString("en");
  tell();
}

// Who can train, how long it takes and what it costs: asked once the choice rests.
const TELL_AFTER = 300;
let told = "";
let waiting;
function tell() {
  const ids = [...chosen].slice(0, 201).join(","); // of more the site says that the plan tells
  if (ids === told) return;
  told = ids;
  clearTimeout(waiting);
  if (ids) waiting = setTimeout(ask, TELL_AFTER, ids);
  else bar().querySelector("[data-told]").textContent = "";
}

async function ask(ids) {
  const answer = await fetch(`${bar().dataset.glance}?ids=${ids}`).catch(() => null);
  const words = answer?.ok && !answer.redirected ? await answer.text() : "";
  if (ids === told && bar()) bar().querySelector("[data-told]").textContent = words;
}

function keep() {
  sessionStorage.setItem(KEY, JSON.stringify([...chosen]));
  show();
}

function toggle(box, on) {
  if (on) chosen.add(box.value);
  else chosen.delete(box.value);
}

let last = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest('#sheet input[name="actor"]');
  if (!box) return;
  const all = [...boxes()];
  const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
  // With Shift everybody between the last two clicks.
  const span = event.shiftKey && from >= 0 ? all.slice(from, to + 1) : [box];
  for (const each of span) toggle(each, box.checked);
  last = box;
  keep();
});

document.addEventListener("keydown", (event) => {
  const item = event.target.closest?.("#sheet a[data-item]");
  if (!item || ![" ", "x"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const box = item.closest("li, tr").querySelector('input[name="actor"]');
  toggle(box, !box.checked);
  last = box;
  keep();
});

document.addEventListener("click", async (event) => {
  const all = event.target.closest("[data-select-all]");
  if (all) {
    all.ariaBusy = "true";
    const answer = await fetch(all.dataset.selectAll);
    all.ariaBusy = null;
    if (!answer.ok) return;
    for (const id of (await answer.text()).split("\n")) if (id) chosen.add(id);
    keep();
  }
  if (event.target.closest("[data-select-none]")) {
    chosen.clear();
    keep();
  }
});

// One field instead of thousands; the selection has done its work then.
document.addEventListener("formdata", (event) => {
  if (event.target !== bar()) return;
  event.formData.delete("actor");
  event.formData.set("ids", [...chosen].join(","));
  sessionStorage.removeItem(KEY);
});

for (const name of ["htmx:afterSettle", "htmx:oobAfterSwap"]) document.addEventListener(name, show);
addEventListener("pageshow", () => {
  for (const hidden of document.querySelectorAll("[data-select-all]")) hidden.hidden = false;
  show();
});
