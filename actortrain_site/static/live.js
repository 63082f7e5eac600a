// A training's page: title and icon tell the state, the console follows, stages are spoken once.

const bell = document.getElementById("bell");
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
  if (now.dataset.state !== state && now.dataset.over === "1" && bell?.ariaPressed === "true") {
    new Notification(now.dataset.title, { body: now.dataset.spoken });
  }
  stage = now.dataset.stage;
  state = now.dataset.state;
  follow();
}

function follow() {
  const console = document.getElementById("console");
  if (console && document.getElementById("follow")?.checked) console.scrollTop = console.scrollHeight;
}

if (bell && "Notification" in window) {
  bell.hidden = false;
  bell.addEventListener("click", async () => {
    const allowed = (await Notification.requestPermission()) === "granted";
    bell.ariaPressed = String(allowed && bell.ariaPressed !== "true");
  });
}
document.addEventListener("htmx:afterSettle", show);
show();
