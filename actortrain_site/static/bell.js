// "Tell me at the end": a notification of the browser, and what to do where the browser forbids it.

const key = `tell ${location.pathname}`; // survives a reload, not the tab
const WAYS = {
  granted: "Your browser will tell you, as long as this page stays open.",
  default: "Your browser asks whether this site may notify you: choose Allow. If the question is gone, press again.",
  denied: "Your browser blocks notifications of this site. Allow them in its settings for this site, beside the address.",
  insecure: "Browsers notify from https addresses only. This tab's title and icon still tell the state.",
  none: "This browser can't notify. This tab's title and icon still tell the state.",
};

const wanted = () => Boolean(sessionStorage.getItem(key));
const armed = () => wanted() && way() === "granted";

function way() {
  if (!isSecureContext) return "insecure";
  return "Notification" in window ? Notification.permission : "none";
}

// The button comes anew with every change of state, so what it says is put there each time.
export function ring() {
  const bell = document.getElementById("bell");
  if (!bell) return;
  bell.hidden = false;
  bell.ariaPressed = String(armed());
  const says = document.getElementById("bell-says");
  says.hidden = !wanted();
  says.textContent = wanted() ? WAYS[way()] : "";
}

export function tell(title, body) {
  if (!wanted()) return;
  sessionStorage.removeItem(key); // once, also when the page is loaded again
  if (way() !== "granted") return;
  try {
    const told = new Notification(title, { body, tag: key });
    told.onclick = () => {
      focus();
      scrollTo(0, 0);
      told.close();
    };
  } catch {
    // Chrome on Android has the name, but pages may not use it; the title has told it.
  }
}

document.addEventListener("click", async (event) => {
  if (!event.target.closest("#bell")) return;
  if (armed()) {
    sessionStorage.removeItem(key);
  } else {
    sessionStorage.setItem(key, "1");
    ring();
    if (way() === "default") await Notification.requestPermission();
  }
  ring();
});
// What is allowed in the browser's settings meanwhile counts at once.
navigator.permissions?.query({ name: "notifications" }).then((permission) => (permission.onchange = ring));
