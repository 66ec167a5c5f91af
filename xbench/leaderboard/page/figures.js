// What both figures share: the choice of task, model and score, their colours, and plotly, which starts when needed.

function startPlotly() {
  // 5 MB of code are run only when a chart is to be seen; the policy knows this script by its hash.
  if (window.Plotly || !find("plotly")) return; // it comes last in the file
  // The style sheets of its maps are not wanted: plotly leaves out what it finds by name.
  const { sheets } = find("plotly").dataset;
  document.head.append(...sheets.split(" ").filter(Boolean).map((id) => make("meta", { id })));
  const script = document.createElement("script");
  script.textContent = find("plotly").textContent;
  document.head.append(script);
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ink: colour("--ink"), muted: colour("--muted"), rule: colour("--rule"), paper: colour("--paper"),
    accent: colour("--accent"), low: colour("--heat-low"), high: colour("--heat-high"),
  };
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK KR', 'DejaVu Sans', sans-serif";
const PAPER = 680; // pixels across a page of A4 or Letter within its margins, and a little less
const QUIET = { displayModeBar: false, displaylogo: false, responsive: false, showTips: false, doubleClick: false };

function baseLayout(colours) {
  const font = { family: FONT, size: 13, color: colours.ink };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: false,
    font, hoverlabel: { bgcolor: colours.paper, bordercolor: colours.muted, font, align: "left" },
  };
}

const ruler = document.createElement("canvas").getContext("2d");

function widthOf(words) {
  // In pixels, as a chart's labels are written.
  ruler.font = `13px ${FONT}`;
  return ruler.measureText(words).width;
}

function label(title, width) {
  // A title in so many pixels, without its middle where it is too long: names differ at their ends.
  if (widthOf(title) <= width) return plain(title);
  const letters = [...title];
  const short = (kept) => {
    const tail = Math.floor(kept * 0.45);
    // The marks keep what is left and right of the gap there, whichever way its letters run.
    return [...letters.slice(0, kept - tail), "\u200e…\u200e", ...letters.slice(letters.length - tail)].join("");
  };
  let [fits, many] = [1, letters.length];
  while (many - fits > 1) {
    const middle = (fits + many) >> 1;
    if (widthOf(short(middle)) <= width) fits = middle;
    else many = middle;
  }
  return plain(short(fits));
}

function pickFigure() {
  // Follows the filters, unless the reader has chosen otherwise here.
  const entries = CORPORA[state.corpora];
  const form = find("figure").elements;
  const tasks = unique(entries.map((entry) => entry.task));
  const task = choose(form.matrixTask, tasks.map((name) => [name, TITLES.task(name)]), state.matrixTask || state.task);
  const own = entries.filter((entry) => entry.task === task);
  const models = unique(own.filter((entry) => entry.regime !== "floor").map((entry) => entry.model));
  const chosen = [state.matrixModel, state.model, fullest(own)].find((name) => models.includes(name));
  const model = choose(form.matrixModel, models.map((name) => [name, name]), chosen);
  const named = (TASKS.get(task) || { scores: [] }).scores.map((score) => score.name);
  const scores = unique([...named, ...own.flatMap((entry) => Object.keys(entry.scores))])
    .filter((name) => own.some((entry) => scoreOf(entry, name)));
  const primary = own.length ? own[0].primary : "";
  const options = scores.map((name) => [name, scoreStyle(task, name).title]);
  const score = choose(form.matrixScore, options, scores.includes(state.matrixScore) ? state.matrixScore : primary);
  return { task, model, score, own, style: scoreStyle(task, score) };
}

function fullest(entries) {
  // The model with the most entries, the first of them: it fills the matrix.
  const counts = new Map();
  for (const { model } of entries) counts.set(model, (counts.get(model) || 0) + 1);
  return [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a))[0];
}

function rowTitle(entry, rows) {
  // The curriculum, and what tells it from its neighbours.
  const trained = rows.filter((one) => one.regime !== "floor");
  const several = (get) => new Set(trained.map(get).filter(Boolean)).size > 1;
  const notes = [
    several((one) => one.head) ? entry.head : "", entry.reading, entry.variant,
    several((one) => one.limits || "all rows") ? entry.limits || "all rows" : "",
    several((one) => one.selection) ? entry.selection : "",
  ].filter(Boolean);
  if (entry.regime === "floor") return entry.model;
  const title = entry.regime === "frozen" ? "frozen" : curriculumTitle(entry);
  return notes.length ? `${title} (${notes.join(", ")})` : title;
}

function datasetOrder(task, entries) {
  const named = (TASKS.get(task) || { datasets: [] }).datasets.map((one) => one.name);
  const found = unique(entries.map((entry) => entry.dataset));
  return [...named.filter((name) => found.includes(name)), ...found.filter((name) => !named.includes(name))];
}

function drawLegend(entries) {
  const kinds = unique(entries.map((entry) => entry.transfer));
  const present = [...KINDS].filter(([name]) => kinds.includes(name));
  const item = ([name, kind]) => make("li", { class: `kind-${name}` }, glyph(kind), " ", kind.title);
  for (const legend of document.querySelectorAll(".legend")) legend.replaceChildren(...present.map(item));
}

function drawFigures() {
  // Captions and tables are always there, the charts once they have come near.
  const figure = pickFigure();
  for (const id of ["figure", "heat", "heat-details", "on-form"]) find(id).hidden = !figure.own.length;
  drawLegend(figure.own);
  drawHeat(figure, Boolean(window.Plotly));
  drawIntervals(figure, Boolean(window.Plotly));
}

function drawWhenNear() {
  const near = new IntersectionObserver((found) => {
    if (!found.some((one) => one.isIntersecting)) return;
    near.disconnect();
    startCharts();
  }, { rootMargin: "50% 0px" });
  for (const id of ["matrix", "intervals"]) near.observe(find(id));
}

function startCharts() {
  startPlotly();
  drawFigures();
  window.xbenchDrawn = performance.now();
}

let waiting = 0;

function drawFiguresSoon() {
  // The table answers first.
  clearTimeout(waiting);
  waiting = setTimeout(drawFigures, 60);
}
