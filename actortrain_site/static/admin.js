// Django's admin leaves some of its controls without a name for people who can't see the page: here they get one.

function nameControls() {
  // A date and a time share one label, which belongs to neither.
  for (const field of document.querySelectorAll(".vDateField, .vTimeField")) {
    const label = field.closest(".form-row, td")?.querySelector("label, legend")?.textContent ?? "";
    field.setAttribute("aria-label", `${label} ${field.matches(".vDateField") ? "date" : "time"}`.trim());
  }
  // Rows of a table have their labels above the column.
  for (const field of document.querySelectorAll(".tabular tbody td :is(input:not([type=hidden]), select, textarea)")) {
    const cell = field.closest("td");
    const heading = cell.closest("table").tHead.rows[0].cells[cell.cellIndex];
    if (!field.labels?.length) field.setAttribute("aria-label", heading.textContent.trim());
  }
  // Lists that are searched as you type take the label of the field they stand for.
  for (const list of document.querySelectorAll("select.admin-autocomplete")) {
    const label = list.labels[0];
    if (!label) continue;
    label.id ||= `${list.id}-label`;
    for (const part of list.parentElement.querySelectorAll(".select2-selection, .select2-selection__rendered"))
      part.setAttribute("aria-labelledby", `${label.id} select2-${list.id}-container`);
  }
  for (const tip of document.querySelectorAll(".help-tooltip[aria-label]")) tip.setAttribute("role", "img");
  // A heading of nothing is none.
  for (const heading of document.querySelectorAll(".tabular th:empty")) heading.replaceWith(document.createElement("td"));
  // What scrolls sideways can be scrolled by keyboard.
  for (const group of document.querySelectorAll(".inline-group")) group.tabIndex = 0;
}

// After Django's own scripts, which wait for jQuery where there is one.
addEventListener("load", () => (window.django?.jQuery ? django.jQuery(nameControls) : nameControls()));
document.addEventListener("formset:added", nameControls);
