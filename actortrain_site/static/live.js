// A training's page: title and icon tell the state, the console follows, stages are spoken once.

const bellKey = `tell ${location.pathname}`; // survives a reload, not the tab
let stage = poll()?.dataset.stage;
let state = poll()?.dataset.state;

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
  if (now.dataset.state !== state && now.dataset.over === "1" && sessionStorage.getItem(bellKey))
    new Notification(now.dataset.title, { body: now.dataset.spoken });
  stage = now.dataset.stage;
  state = now.dataset.state;
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

// A notification at the end, for who asks for it. The button comes anew with every change of state.
function ring() {
  const bell = document.getElementById("bell");
  if (!bell || !("Notification" in window)) return;
  bell.hidden = false;
  bell.ariaPressed = String(Boolean(sessionStorage.getItem(bellKey)));
}
document.addEventListener("click", async (event) => {
  if (!event.target.closest("#bell")) return;
  const on = sessionStorage.getItem(bellKey);
  if (on || (await Notification.requestPermission()) !== "granted") sessionStorage.removeItem(bellKey);
  else sessionStorage.setItem(bellKey, "1");
  ring();
});
document.addEventListener("htmx:afterSettle", show);
show();
