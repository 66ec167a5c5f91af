// Puts the parts together.

const printing = { now: false, length: PAGE };
const narrow = () => !printing.now && matchMedia("(max-width: 650px)").matches;

function fillFilters() {
  const form = find("filters").elements;
  for (const [name, values] of Object.entries(FILTERS)) {
    const found = unique(CORPORA[state.corpora].flatMap(values));
    const ordered = { task: [...TASKS.keys()], regime: REGIMES, transfer: [...KINDS.keys()] }[name];
    if (ordered) {
      const rank = (one) => (ordered.includes(one) ? ordered.indexOf(one) : ordered.length);
      found.sort((a, b) => rank(a) - rank(b));
    } else {
      found.sort((a, b) => collator.compare(TITLES[name](a), TITLES[name](b)));
    }
    state[name] = choose(form[name], found.map((one) => [one, TITLES[name](one)]), state[name], ALL[name]);
  }
  form.q.value = state.q;
}

function showCorpora() {
  const both = CORPORA.real.length > 0 && CORPORA.sample.length > 0;
  find("corpora").hidden = !both;
  find("sample-note").hidden = state.corpora !== "sample";
  for (const radio of find("corpora").querySelectorAll("input")) {
    radio.checked = radio.value === state.corpora;
    radio.parentElement.querySelector(".count").textContent = `(${CORPORA[radio.value].length.toLocaleString("en")})`;
  }
}

function listen() {
  const filters = find("filters");
  let typing = 0;
  const apply = () => {
    for (const name of [...Object.keys(FILTERS), "q"]) state[name] = filters.elements[name].value.trim();
    showFiltered();
    drawFiguresSoon();
  };
  filters.addEventListener("change", (event) => {
    if (event.target.name === "task") Object.assign(state, { matrixTask: "", matrixScore: "", on: "" });
    if (event.target.name === "model") state.matrixModel = "";
    apply();
  });
  filters.addEventListener("input", (event) => {
    if (event.target.name !== "q") return;
    clearTimeout(typing);
    typing = setTimeout(apply, 80);
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const control of filters.elements) if (control.name) control.value = "";
    apply();
  });
  find("corpora").addEventListener("change", (event) => {
    Object.assign(state, DEFAULTS, { corpora: event.target.value, sort: state.sort });
    showAll(true);
  });
  for (const form of [find("figure"), find("on-form")]) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => {
      state[event.target.name] = event.target.value;
      if (event.target.name === "matrixTask") Object.assign(state, { matrixModel: "", matrixScore: "", on: "" });
      writeAddress();
      drawFigures();
    });
  }
  addEventListener("hashchange", () => {
    const before = state.corpora;
    readAddress();
    showAll(before !== state.corpora);
  });
  for (const link of document.querySelectorAll("a[data-jump]")) link.addEventListener("click", jump);
  addEventListener("resize", () => window.Plotly && !printing.now && drawFiguresSoon());
}

function jump(event) {
  // The address behind "#" holds the view: a place on the page must not replace it.
  event.preventDefault();
  const target = find(event.currentTarget.dataset.jump);
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}

function showAll(otherRows) {
  showCorpora();
  fillFilters();
  if (otherRows) table.clear().rows.add(CORPORA[state.corpora]);
  table.order(startOrder());
  const page = startPage() - 1;
  const row = state.row;
  showFiltered();
  if (page > 0 && page < table.page.info().pages) table.page(page).draw("page");
  state.row = row;
  openChosenRow();
  drawFiguresSoon();
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = find("theme");
  let chosen = null;
  try {
    chosen = localStorage.getItem("xbench-theme");
  } catch (error) {
    chosen = null; // a browser may keep nothing for files
  }
  const show = () => {
    const theme = chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-pressed", String(theme === "dark"));
    if (window.Plotly) drawFigures();
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("xbench-theme", chosen);
    } catch (error) {
      // it then lasts until the page is left
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}

function tellChosen() {
  // The filters do not stand on paper, and what they have fixed does not stand in the rows.
  const controls = [...find("filters").elements].filter((control) => control.name && control.value);
  const words = (control) => (control.selectedOptions ? control.selectedOptions[0].text : control.value);
  const told = controls.map((control) => `${control.labels[0].firstChild.textContent.trim()}: ${words(control)}`);
  find("chosen").textContent = told.join("; ");
}

function startPrinting() {
  // On paper: light, and every row that passes the filters, as long as a printer would want them.
  let theme = "light";
  addEventListener("beforeprint", () => {
    printing.now = true;
    tellChosen();
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    printing.length = table.page.len();
    if (table.page.info().recordsDisplay <= 1000) table.page.len(-1).draw();
    startCharts();
  });
  addEventListener("afterprint", () => {
    printing.now = false;
    document.documentElement.dataset.theme = theme;
    table.page.len(printing.length).draw();
    drawFigures();
  });
}

function start() {
  readAddress();
  startTheme();
  showCorpora();
  fillFilters();
  startTable();
  hideFixed();
  tellShown();
  listen();
  startPrinting();
  openChosenRow();
  drawFigures();
  // Ready is when the table has been painted and answers.
  requestAnimationFrame(() => setTimeout(() => {
    window.xbenchReady = performance.now();
    performance.mark("xbench-table");
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", drawWhenNear);
    else drawWhenNear();
  }, 0));
}

start();
