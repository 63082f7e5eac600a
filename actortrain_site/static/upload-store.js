// Files that are not uploaded yet, kept in the browser so that a reload loses none.

const opened = new Promise((resolve) => {
  const request = indexedDB.open("actortrain-uploads", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("files", { keyPath: "key" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => resolve(null); // a private window: uploads work, resuming does not
});

async function run(mode, use) {
  const database = await opened;
  if (!database) return null;
  return new Promise((resolve) => {
    const transaction = database.transaction("files", mode);
    const request = use(transaction.objectStore("files"));
    transaction.onabort = () => resolve(null); // the disk is full: uploads work, resuming does not
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
  });
}

export async function save(entry) {
  entry.key ??= `${Date.now()}-${Math.random()}`;
  const { key, actor, file, name, id } = entry;
  await run("readwrite", (files) => files.put({ key, actor, file, name, id }));
}

export const remove = (entry) => run("readwrite", (files) => files.delete(entry.key));

export async function all(actor) {
  const entries = (await run("readonly", (files) => files.getAll())) || [];
  return entries.filter((entry) => entry.actor === actor);
}
