// The train page: a slider beside each number field, and a draft that no key press is missing from.
// The field is what is sent; the slider only helps to set it.

const scales = {
  linear: {
    value: (t, low, high) => low + t * (high - low),
    place: (v, low, high) => (v - low) / (high - low),
  },
  log: {
    value: (t, low, high) => low * (high / low) ** t,
    place: (v, low, high) => Math.log(v / low) / Math.log(high / low),
  },
};

function written(value, whole) {
  if (whole) return String(Math.round(value));
  return String(Number(value.toPrecision(2)));
}

document.addEventListener("input", (event) => {
  const row = event.target.closest(".param[data-low]");
  if (!row) return;
  const slider = row.querySelector("input[type=range]");
  const field = row.querySelector(".in");
  const [low, high] = [Number(row.dataset.low), Number(row.dataset.high)];
  const scale = scales[row.dataset.scale];
  if (event.target === slider) {
    field.value = written(scale.value(slider.value / 1000, low, high), row.dataset.whole === "1");
  } else if (field.value.trim() && Number.isFinite(Number(field.value))) {
    slider.value = 1000 * scale.place(Math.min(high, Math.max(low, Number(field.value))), low, high);
  }
  slider.ariaValueText = field.value;
});

const form = () => document.getElementById("params");
const isParameter = (element) => element.form === form() && element.closest(".param, #adjust");
/** Asks for the advice on what stands in the fields, which saves it too. */
const ask = () => form().querySelector("[hx-sync]").dispatchEvent(new Event("change", { bubbles: true }));

// Enter means "take this value": nothing starts, and the focus stays.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches(".param input") || event.isComposing) return;
  event.preventDefault();
  ask();
});

// Every edit has a number, and so has what was sent last: what lies between them is saved nowhere yet.
const RETRY = 5000;
let [edited, sending, saved, retry] = [0, 0, 0, 0];

function said(words) {
  const place = document.getElementById("unsaved");
  if (place && place.textContent !== words) place.textContent = words;
}

for (const name of ["input", "change"])
  document.addEventListener(name, (event) => {
    if (event.target.matches("input, select") && isParameter(event.target)) edited += 1;
  });
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.closest("#params, #adjust")) sending = edited;
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.elt.closest("#params, #adjust") || !form()?.dataset.draft) return;
  clearTimeout(retry);
  if (event.detail.successful) {
    saved = sending;
    return;
  }
  said("Not saved yet: the site can’t be reached. It is tried again by itself.");
  retry = setTimeout(ask, RETRY);
});
// What is wrong with one value may be another one, which nobody sees.
document.addEventListener("htmx:afterSettle", () => {
  for (const folded of document.querySelectorAll(".params:not([open]):has(.err .i)")) folded.open = true;
});
addEventListener("online", () => edited > saved && form() && ask());

// Leaving before the last edit was sent. What starts or discards has its own way with the values.
document.addEventListener("submit", (event) => {
  if (event.target === form()) saved = edited;
});
addEventListener("pagehide", () => {
  const draft = form()?.dataset.draft;
  if (draft && edited > saved) navigator.sendBeacon(draft, new FormData(form()));
});
