// A training's page: title and icon tell the state, the console follows, stages are spoken once.

import { ring, tell } from "./bell.js";

let stage = poll()?.dataset.stage;

function poll() {
  return document.getElementById("poll");
}

function show() {
  const now = poll();
  if (!now) return;
  document.title = now.dataset.title;
  const favicon = document.getElementById("favicon");
  favicon.href = favicon.dataset[now.dataset.icon] || favicon.dataset.base;
  if (now.dataset.stage !== stage) document.getElementById("spoken").textContent = now.dataset.spoken;
  if (now.dataset.over === "1") tell(now.dataset.title, now.dataset.told);
  stage = now.dataset.stage;
  ring();
  filter();
  follow();
}

// Console: a new one keeps the place where somebody reads.
const lines = () => document.getElementById("console");
const following = () => document.getElementById("follow")?.checked;
let place = 0;
document.addEventListener("htmx:beforeSwap", () => (place = lines()?.scrollTop ?? 0));

function follow() {
  const console = lines();
  if (console) console.scrollTop = following() ? console.scrollHeight : place;
}

const words = document.getElementById("console-q");
function filter() {
  const wanted = words?.value.trim().toLowerCase() ?? "";
  for (const line of lines()?.children ?? [])
    line.hidden = Boolean(wanted) && !line.textContent.toLowerCase().includes(wanted);
}
words?.addEventListener("input", filter);
document.getElementById("follow")?.addEventListener("change", follow);

document.addEventListener("htmx:afterSettle", show);
show();
