// The table of entries: DataTables sorts and pages it, and makes a row's elements only when the row is shown.

const PAGE = 25;
const NO_ENTRIES = "There are no entries yet.";
const value = (found) => (found && known(found.value) ? found.value : null);
const titleOfTask = (entry) => TITLES.task(entry.task);
const primaryValue = (entry) => value(scoreOf(entry, entry.primary));
const seedsOf = (entry) => text(entry.seeds.join(", "));

const COLUMNS = [
  { name: "open", title: '<span class="unseen">Provenance</span>', order: null, cell: openCell },
  { name: "task", title: "Task", order: titleOfTask, cell: (entry) => text(titleOfTask(entry)) },
  { name: "model", title: "Model", order: (entry) => entry.model, cell: (entry) => text(entry.model) },
  { name: "trained", title: "Fine-tuned on", head: true, order: curriculumTitle, cell: trainedCell },
  { name: "scored", title: "Scored on", order: datasetTitle, cell: scoredCell },
  { name: "kind", title: "Kind", order: (entry) => entry.transfer, cell: kindCell },
  { name: "score", title: "Score", numeric: true, order: primaryValue, cell: primaryCell },
  { name: "others", title: "Other scores", order: null, cell: othersCell },
  { name: "gap", title: "Gap", numeric: true, order: (entry) => value(entry.gap),
    cell: (entry) => measureCell(entry.gap, scoreStyle(entry.task, entry.primary).decimals) },
  { name: "degradation", title: "Degradation", numeric: true, order: (entry) => value(entry.degradation),
    cell: (entry) => measureCell(entry.degradation, 1, "%") },
  { name: "retention", title: "Retention", numeric: true, order: (entry) => value(entry.retention),
    cell: (entry) => measureCell(entry.retention, 1, "%") },
  { name: "seeds", title: "Seeds", numeric: true, order: (entry) => entry.seeds.length, cell: seedsOf },
  { name: "marks", title: "Marks", order: (entry) => marksOf(entry).join(" "), cell: marksCell },
];

function text(words) {
  return make("span", {}, words);
}

function openCell(entry) {
  const about = [entry.model, curriculumTitle(entry), `scored on ${datasetTitle(entry)}`].join(", ");
  const label = `Provenance of ${about}`;
  return make("button", { type: "button", class: "open", "aria-expanded": "false", "aria-label": label });
}

const collator = new Intl.Collator("en", { numeric: true });

function registerOrders() {
  // What has no value comes last, whichever way the column is sorted.
  const last = (compare) => (a, b) => (a === null || b === null ? (a === null) - (b === null) : compare(a, b));
  DataTable.type("numbers-last", "order", { asc: last((a, b) => a - b), desc: last((a, b) => b - a) });
  DataTable.type("words", "order", { asc: (a, b) => collator.compare(a, b), desc: (a, b) => collator.compare(b, a) });
}

function render(column, purpose, entry) {
  if (purpose === "display") return column.cell(entry);
  return column.order ? column.order(entry) : "";
}

let table = null;

function startTable() {
  registerOrders();
  DataTable.ext.errMode = "throw";
  DataTable.ext.search.push((settings, words, index, entry) => passes(entry));
  table = new DataTable("#table", {
    data: CORPORA[state.corpora],
    columns: COLUMNS.map((column) => ({
      data: null, name: column.name, title: column.title, orderable: Boolean(column.order), searchable: false,
      type: column.numeric ? "numbers-last" : "words", className: `c-${column.name}${column.numeric ? " numeric" : ""}`,
      render: (data, purpose, entry) => render(column, purpose, entry),
      cellType: column.head ? "th" : "td", createdCell: (cell) => column.head && cell.setAttribute("scope", "row"),
    })),
    autoWidth: false, deferRender: true, order: startOrder(), orderMulti: false, pageLength: PAGE,
    displayStart: PAGE * (startPage() - 1),
    layout: { topStart: null, topEnd: null, bottomStart: "pageLength", bottomEnd: "paging" },
    lengthMenu: [25, 100, 500],
    language: {
      lengthMenu: "Rows a page: _MENU_", zeroRecords: "No entry passes these filters.",
      emptyTable: NO_ENTRIES,
    },
  });
  for (const header of table.columns().header().toArray()) header.setAttribute("scope", "col");
  table.on("order", () => {
    const [order] = table.order();
    state.sort = order && order[1] ? `${COLUMNS[order[0]].name}.${order[1]}` : "";
  });
  table.on("draw", () => {
    state.page = String(table.page() + 1);
    tellShown();
    writeAddress();
  });
  table.table().body().addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    const reading = !event.target.closest("button") && String(getSelection()); // a click may end a selection of text
    if (row && !reading && !event.target.closest("a, .detail")) toggleRow(table.row(row));
  });
}

function startOrder() {
  const [name, direction] = state.sort.split(".");
  const place = COLUMNS.findIndex((column) => column.name === name && column.order);
  return place < 0 || !["asc", "desc"].includes(direction) ? [] : [[place, direction]];
}

function startPage() {
  const page = Number.parseInt(state.page, 10);
  return page > 0 ? page : 1;
}

function tellShown() {
  const { recordsDisplay, recordsTotal, start, end } = table.page.info();
  const whole = recordsTotal === 1 ? "1 entry" : `${recordsTotal.toLocaleString("en")} entries`;
  const part = recordsDisplay === recordsTotal ? whole : `${recordsDisplay.toLocaleString("en")} of ${whole}`;
  const [first, last] = [(start + 1).toLocaleString("en"), end.toLocaleString("en")];
  find("shown").textContent = part + (recordsDisplay > end - start ? `; rows ${first} to ${last} on this page` : "");
}

function hideFixed() {
  // What a filter has fixed need not stand in every row.
  for (const name of ["task", "model"]) {
    table.column(`${name}:name`).visible(!state[name], false);
    find("table").classList.toggle(`one-${name}`, Boolean(state[name]));
  }
}

function showFiltered(keepPage) {
  hideFixed();
  table.draw(keepPage ? "page" : true);
}

function toggleRow(row, open) {
  const entry = row.data();
  if (!entry) return;
  const shown = open === undefined ? !row.child.isShown() : open;
  const button = row.node().querySelector("button.open");
  if (shown) {
    const panel = detailPanel(entry);
    row.child(panel, "detail").show();
    button.setAttribute("aria-controls", panel.id);
    state.row = entry.id;
  } else {
    row.child(false);
    button.removeAttribute("aria-controls");
    if (state.row === entry.id) state.row = "";
  }
  button.setAttribute("aria-expanded", String(shown));
  row.node().classList.toggle("opened", shown);
  writeAddress();
}

function openChosenRow() {
  if (!state.row) return;
  const order = table.rows({ order: "applied", search: "applied" }).indexes().toArray();
  const place = order.findIndex((index) => table.row(index).data().id === state.row);
  if (place < 0) return;
  const page = Math.floor(place / table.page.len());
  if (page !== table.page()) table.page(page).draw("page");
  const row = table.row(order[place]);
  if (!row.child.isShown()) toggleRow(row, true);
  row.node().scrollIntoView({ block: "center" });
}
