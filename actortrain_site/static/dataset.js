// The dataset page: files in (drop, paste, folder, several at once, retry, resume) and the keyboard.

import * as store from "./upload-store.js";
import { toast } from "./site.js";

const AT_ONCE = 3;
const LONGEST_WAIT = 15000;
const form = document.getElementById("upload-form");
const actor = form.dataset.actor;
const panel = document.getElementById("uploads");
const list = document.getElementById("uploads-list");
const rows = new Map();
// The thumbnail that is being dragged to another place; browsers call a dragged picture a file, too.
let dragged = null;
const queue = [];
let running = 0;

// One request to the site. Throws what should be tried again; answers with an error are answers.
async function ask(url, body) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const options = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(url, { ...options, redirect: "manual" });
  if (answer.type === "opaqueredirect") throw new Error("signed out: sign in again in another tab");
  if (answer.status >= 500) throw new Error(`the site answered ${answer.status}`);
  const told = await answer.json();
  return told.error ? { state: "refused", message: told.error } : told;
}

function put(url, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () =>
      request.status < 300 ? resolve() : reject(new Error(`the store answered ${request.status}`));
    // A browser doesn't say which: no connection, or a bucket without a CORS rule for this site.
    const why = url.startsWith("/") || new URL(url).origin === location.origin
      ? "no connection"
      : "no connection to the object store, or its bucket does not allow PUT from this site (see docs/datasets.md)";
    request.onerror = () => reject(new Error(why));
    request.send(file);
  });
}

// Known bytes need no upload. Without a secure context there is no digest; then the site finds out.
async function sha256(file) {
  if (!crypto.subtle || file.size > 64e6) return "";
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function upload(entry) {
  const { file, name } = entry;
  if (!entry.id) {
    const files = [{ name, size: file.size, sha256: await sha256(file) }];
    const answer = await ask(form.dataset.start, { files });
    const told = answer.files ? answer.files[0] : answer;
    if (told.state !== "waiting") return told;
    await put(told.url, file, (part) => show(entry, "sending", "", part));
    entry.id = told.id;
    await store.save(entry);
  }
  show(entry, "checking", "");
  let told = await ask(`${form.dataset.uploads}${entry.id}/finish`, {});
  while (told.state === "working") {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    told = await ask(`${form.dataset.uploads}${entry.id}`);
  }
  if (told.state === "waiting") {
    entry.id = null; // the bytes never arrived
    throw new Error("the file did not arrive");
  }
  return told;
}

async function work(entry) {
  running += 1;
  try {
    const told = await upload(entry);
    await store.remove(entry);
    entry.over = true;
    show(entry, told.state, told.message);
    if (told.state === "done") changed();
  } catch (error) {
    entry.tries = (entry.tries || 0) + 1;
    const wait = Math.min(LONGEST_WAIT, 500 * 2 ** entry.tries);
    show(entry, "trying again", error.message);
    entry.timer = setTimeout(() => again(entry), wait);
  }
  running -= 1;
  pump();
}

function again(entry) {
  clearTimeout(entry.timer);
  if (!entry.timer) return;
  entry.timer = null;
  queue.push(entry);
  pump();
}

function pump() {
  while (running < AT_ONCE && queue.length) work(queue.shift());
  summary();
}

let refresh;
function changed() {
  clearTimeout(refresh);
  refresh = setTimeout(() => document.body.dispatchEvent(new Event("dataset-changed")), 700);
}

const words = { waiting: "Waiting", sending: "Sending", checking: "Checking", done: "Added", skipped: "Already here", refused: "Refused", "trying again": "Trying again" };

function show(entry, state, message, part) {
  let row = rows.get(entry);
  if (!row) {
    row = document.createElement("li");
    row.append(document.createElement("span"), document.createElement("progress"), document.createElement("span"));
    row.children[0].textContent = entry.name;
    row.children[1].max = 1;
    row.children[1].setAttribute("aria-label", `Upload of ${entry.name}`);
    rows.set(entry, row);
    list.append(row);
  }
  row.dataset.state = entry.state = state;
  row.children[1].value = part ?? (entry.over ? 1 : state === "checking" ? 1 : 0);
  row.children[1].hidden = Boolean(entry.over);
  row.children[2].textContent = message ? `${words[state] || state}: ${message}` : words[state] || state;
  panel.hidden = false;
}

function summary() {
  const entries = [...rows.keys()];
  const count = (state) => entries.filter((entry) => entry.state === state).length;
  const over = entries.filter((entry) => entry.over).length;
  const parts = [`${over} of ${entries.length} finished`];
  if (count("refused")) parts.push(`${count("refused")} refused`);
  if (count("skipped")) parts.push(`${count("skipped")} already here`);
  document.getElementById("uploads-sum").textContent = parts.join(", ");
  document.getElementById("uploads-retry").hidden = !count("trying again");
  document.getElementById("uploads-clear").hidden = over < entries.length;
}

async function add(files) {
  const wanted = [...files].filter((file) => file.size && !file.name.startsWith("."));
  document.getElementById("add-images").hidePopover();
  const entries = wanted.map((file) => ({ actor, file, name: file.name, id: null }));
  for (const entry of entries) show(entry, "waiting", "");
  await Promise.all(entries.map(store.save)); // all of them before anything is sent: a reload loses none
  queue.push(...entries);
  pump();
  if (!wanted.length) toast("There was no file in it");
}

// Folders arrive as trees of entries, read in pieces of a hundred.
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const each of some) found.push(...(await filesOf(each)));
  }
}

const pictures = (files) => [...files].filter((file) => /\.(jpe?g|png|webp|avif|hei[cf]|zip)$/i.test(file.name));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  add(form.elements.files.files);
  form.reset();
});
document.getElementById("files").addEventListener("change", (event) => {
  add(event.target.files);
  form.reset();
});
document.getElementById("folder").addEventListener("change", (event) => {
  add(pictures(event.target.files));
  form.reset();
});
addEventListener("dragover", (event) => {
  if (dragged || ![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", async (event) => {
  if (dragged || ![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return add(event.dataTransfer.files);
  const trees = await Promise.all(entries.map(filesOf));
  add(trees.flatMap((files, index) => (entries[index].isDirectory ? pictures(files) : files)));
});
addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) add(files.map((file) => new File([file], `pasted ${new Date().toISOString().slice(0, 19)}.png`)));
});
const retry = () => [...rows.keys()].filter((entry) => entry.timer).forEach(again);
addEventListener("online", retry);
document.getElementById("uploads-retry").addEventListener("click", retry);
document.getElementById("uploads-clear").addEventListener("click", () => {
  rows.clear();
  list.replaceChildren();
  panel.hidden = true;
});

// The way here from an actor without images.
if (location.hash === "#add-images") document.getElementById("add-images").showPopover();

// Someone who writes keeps their text: the page is not asked for again meanwhile.
document.addEventListener("htmx:beforeRequest", (event) => {
  const writing = document.activeElement?.matches("#dataset textarea, #dataset input[type=text]");
  const open = document.querySelector("#dataset details[open]");
  if (event.detail.elt.id === "dataset" && (writing || open)) event.preventDefault();
});

// Arrows move between frames, Space takes in or leaves out, C writes the caption, Escape closes.
const frames = () => [...document.querySelectorAll("#thumbs a[data-item]")];
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const thumb = event.target.closest(".thumb");
  if (event.target.matches("textarea, input, select")) {
    if (event.key === "Escape" && thumb) document.body.dispatchEvent(new Event("dataset-changed"), event.target.blur());
    return;
  }
  const links = frames();
  const here = links.indexOf(document.activeElement);
  if (event.shiftKey && here >= 0 && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    event.preventDefault();
    const other = links[here + (event.key === "ArrowLeft" ? -1 : 1)]?.closest(".thumb");
    if (other) move(thumb, other, event.key === "ArrowLeft" ? "before" : "after");
  } else if (event.key.startsWith("Arrow") && links.length) {
    const top = links[0].getBoundingClientRect().top;
    const wide = links.findIndex((link) => link.getBoundingClientRect().top > top + 4);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide < 0 ? 0 : wide, ArrowUp: wide < 0 ? 0 : -wide };
    if (here < 0 && event.target !== document.body) return;
    event.preventDefault();
    links[here < 0 ? 0 : Math.min(links.length - 1, Math.max(0, here + step[event.key]))].focus();
  } else if (event.key === " " && here >= 0) {
    event.preventDefault();
    thumb.querySelector("button.use")?.click();
  } else if (event.key.toLowerCase() === "c" && here >= 0) {
    event.preventDefault();
    thumb.querySelector("[data-caption]")?.click();
  }
});
// A replaced frame keeps the focus, so that Space, arrow, Space works.
let focused;
document.addEventListener("htmx:beforeSwap", () => {
  focused = document.activeElement?.matches("a[data-item]") ? document.activeElement.closest(".thumb").id : null;
});
document.addEventListener("htmx:afterSwap", () => {
  if (focused) document.querySelector(`#${focused} a[data-item]`)?.focus();
});

// A frame goes before or after another: only that is said, so two people ordering at once don't undo each other.
function move(thumb, other, where) {
  const values = { image: thumb.dataset.image, [where]: other.dataset.image };
  values.csrfmiddlewaretoken = form.elements.csrfmiddlewaretoken.value;
  htmx.ajax("POST", document.querySelector("[data-order]").dataset.order, { target: "#dataset", swap: "outerHTML", values });
}
const clearDrop = () => document.querySelectorAll("[data-drop]").forEach((each) => each.removeAttribute("data-drop"));
document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.(".thumb[draggable]");
  if (!dragged) return;
  dragged.classList.add("dragged");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", dragged.dataset.image);
});
document.addEventListener("dragover", (event) => {
  const other = dragged && event.target.closest(".thumb[draggable]");
  clearDrop();
  if (!other || other === dragged) return;
  event.preventDefault();
  const { left, width } = other.getBoundingClientRect();
  other.dataset.drop = event.clientX < left + width / 2 ? "before" : "after";
});
document.addEventListener("drop", (event) => {
  const other = dragged && event.target.closest(".thumb[data-drop]");
  if (!other) return;
  event.preventDefault();
  move(dragged, other, other.dataset.drop);
});
document.addEventListener("dragend", () => {
  dragged?.classList.remove("dragged");
  dragged = null;
  clearDrop();
});

// Left over from before a reload. Last, because it waits: keys and drops work before.
for (const entry of await store.all(actor)) queue.push(entry), show(entry, "waiting", "");
if (queue.length) pump();
