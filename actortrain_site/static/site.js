// On every page: theme, time zone, toasts, copy buttons, offline banner, and a session that has ended.

const yearly = "; path=/; max-age=31536000; samesite=lax";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`tz=${zone}`)) document.cookie = `tz=${zone}${yearly}`;

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-theme-switch]")) return;
  event.preventDefault();
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme}${yearly}`;
});

document.addEventListener("click", async (event) => {
  const close = event.target.closest("[data-close]");
  if (close) close.parentElement.remove();
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const source = document.querySelector(copy.dataset.copy);
    const text = source ? source.innerText : copy.dataset.copy;
    await navigator.clipboard.writeText(text);
    toast("Copied");
  }
});

export function toast(text) {
  const box = document.createElement("div");
  box.className = "toast plain";
  box.setAttribute("role", "status");
  box.append(text);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 4000);
}

// Good news leaves by itself; a failure stays until it is read.
for (const each of document.querySelectorAll(".toast:not(.is-failed)"))
  setTimeout(() => each.remove(), 10000);

const offline = document.getElementById("offline");
document.addEventListener("htmx:sendError", () => (offline.hidden = false));
addEventListener("offline", () => (offline.hidden = false));
addEventListener("online", () => (offline.hidden = true));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) offline.hidden = true;
});
// A fragment that became the sign-in page means that the session is over: go there, and come back after.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL || location.href);
  if (!answered.pathname.includes("/login")) return;
  event.detail.shouldSwap = false;
  location.assign(`${answered.pathname}?next=${encodeURIComponent(location.pathname + location.search)}`);
});
