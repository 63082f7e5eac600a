// Names what Swagger's page leaves without one, whenever it draws an operation.

const page = document.getElementById("swagger-ui");

function nameParts() {
  for (const list of page.querySelectorAll(".examples-select-element")) list.setAttribute("aria-label", "Example");
  for (const row of page.querySelectorAll("tr[data-param-name]"))
    for (const field of row.querySelectorAll("select, input, textarea"))
      field.setAttribute("aria-label", row.dataset.paramName);
  for (const block of page.querySelectorAll(".opblock.is-open")) {
    const path = block.querySelector(".opblock-summary-path").textContent;
    const name = `${block.querySelector(".opblock-summary-method").textContent} ${path}`;
    for (const table of block.querySelectorAll(".responses-table")) table.setAttribute("aria-label", `Answers of ${name}`);
    for (const text of block.querySelectorAll("pre")) text.tabIndex = 0; // it scrolls
  }
}

new MutationObserver(nameParts).observe(page, { childList: true, subtree: true });
nameParts();
