// A slider beside each number field. The field is what is sent; the slider only helps to set it.

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
});
