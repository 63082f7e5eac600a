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
    // The text itself, or "#id" of what shows it.
    const given = copy.dataset.copy;
    const source = given.startsWith("#") && document.getElementById(given.slice(1));
    const done = await toClipboard(source ? textOf(source) : given);
    copy.focus();
    toast(done ? "Copied" : "This browser lets no page copy: select the text and copy it by hand");
  }
});

// A list's entries are a line each, those that a filter leaves.
function textOf(source) {
  if (!source.matches("ol")) return source.innerText;
  const seen = [...source.children].filter((entry) => entry.checkVisibility());
  return seen.map((entry) => [...entry.children].map((part) => part.textContent).join("  ")).join("\n");
}

// Without HTTPS there is no clipboard to write to, only what is selected.
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = document.createElement("textarea");
  area.className = "sr";
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

export function toast(text) {
  const box = document.createElement("div");
  box.className = "toast plain";
  box.setAttribute("role", "status");
  box.append(text);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 4000);
}

// Good news leaves by itself, an undo stays longer, a failure stays until it is read.
function letLeave() {
  for (const each of document.querySelectorAll("#toasts .toast:not(.is-failed, .plain, [data-leaves])")) {
    const leave = () => (each.matches(":hover, :focus-within") ? setTimeout(leave, 3000) : each.remove());
    setTimeout(leave, each.querySelector("form") ? 20000 : 10000);
    each.dataset.leaves = "";
  }
}
letLeave();
document.addEventListener("htmx:oobAfterSwap", letLeave);

// On the phone a row of tabs is longer than the screen: the one that is open is in sight.
const tab = document.querySelector(".tabs [aria-current]");
const inSight = () => {
  tab.parentElement.scrollLeft = tab.offsetLeft + tab.offsetWidth - tab.parentElement.clientWidth + 32;
};
if (tab) {
  inSight();
  addEventListener("resize", inSight); // a phone that is turned
}

// Where a page has one before and one after it, the arrows lead there.
document.addEventListener("keydown", (event) => {
  const where = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (!where || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.closest("input, textarea, select, [popover], [tabindex]")) return;
  document.querySelector(`a[rel=${where}]`)?.click();
});

// The banner says what is wrong with the connection, and goes when an answer comes again.
function troubled(why) {
  const offline = document.getElementById("offline"); // another one after going back
  offline.hidden = !why;
  for (const each of offline.querySelectorAll("[data-why]")) each.hidden = each.dataset.why !== why;
}
document.addEventListener("htmx:sendError", () => troubled("offline"));
document.addEventListener("htmx:responseError", (event) => {
  const { elt, xhr } = event.detail;
  if (elt.matches("[data-poll]") && xhr.status >= 500) troubled("error");
  else if (xhr.status === 403) toast("Your role does not allow that. Ask an admin of your studio.");
  else if (xhr.status !== 422) toast(`Nothing was changed: the site answered ${xhr.status}. Try again.`);
});
addEventListener("offline", () => troubled("offline"));
addEventListener("online", () => {
  troubled("");
  for (const each of document.querySelectorAll("[data-poll]")) each.dispatchEvent(new Event("wake"));
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) troubled("");
});

// What polls asks seldom while nobody looks at the page, and at once when somebody does again.
const HIDDEN_PAUSE = 30_000;
let asked = Date.now();
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.detail.elt.matches("[data-poll]")) return;
  if (document.hidden && Date.now() - asked < HIDDEN_PAUSE) event.preventDefault();
  else asked = Date.now();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("[data-poll]")) each.dispatchEvent(new Event("wake"));
});

// A picture that can't be had (its link is too old, its file gone) leaves an empty frame, not a torn one.
document.addEventListener(
  "error",
  ({ target }) => {
    if (target.tagName !== "IMG") return;
    target.classList.add("missing");
    target.closest(".frame")?.classList.add("empty");
  },
  true,
);

// A fragment that became the sign-in page means that the session is over: go there, and come back after.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL || location.href);
  if (!answered.pathname.includes("/login")) return;
  event.detail.shouldSwap = false;
  location.assign(`${answered.pathname}?next=${encodeURIComponent(location.pathname + location.search)}`);
});
