// The matrix: what a model was fine-tuned on, by what it was scored on.

function matrixOf(entries, task) {
  // Entries that differ in anything but what they were scored on are rows of their own; none replaces another.
  const columns = datasetOrder(task, entries);
  const rows = new Map();
  for (const entry of entries) {
    const { model, regime, curriculum, head, reading, variant, limits, selection } = entry;
    let key = JSON.stringify([model, regime, curriculum, head, reading, variant, limits, selection]);
    while (rows.has(key) && rows.get(key).cells.has(entry.dataset)) key += "+";
    if (!rows.has(key)) rows.set(key, { first: entry, cells: new Map() });
    rows.get(key).cells.set(entry.dataset, entry);
  }
  const rank = (row) => (REGIMES.includes(row.first.regime) ? REGIMES.indexOf(row.first.regime) : REGIMES.length);
  const sorted = [...rows.values()].sort((a, b) => rank(a) - rank(b));
  const firsts = sorted.map((row) => row.first);
  for (const row of sorted) row.title = rowTitle(row.first, firsts);
  return { columns, rows: sorted };
}

function cellText(entry, figure) {
  const score = entry ? scoreOf(entry, figure.score) : null;
  if (!score) return "";
  return known(score.value) ? number(score.value, figure.style.decimals) : "undefined";
}

function outlines(matrix, colours) {
  // Zero-shot and in-language cells have frames of their own, so that colour is left to the score.
  const shapes = [];
  matrix.rows.forEach((row, y) => {
    matrix.columns.forEach((dataset, x) => {
      const kind = row.cells.has(dataset) ? kindOf(row.cells.get(dataset).transfer) : UNKNOWN;
      if (!kind.width) return;
      const line = { color: colours.ink, width: kind.width, dash: kind.dash };
      shapes.push({ type: "rect", x0: x - 0.46, x1: x + 0.46, y0: y - 0.41, y1: y + 0.41, line, layer: "above" });
    });
    const before = matrix.rows[y - 1];
    if (before && before.first.regime !== row.first.regime) {
      const line = { color: colours.muted, width: 1 };
      shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y - 0.5, y1: y - 0.5, line, layer: "above" });
    }
  });
  return shapes;
}

function regimeNotes(matrix, colours) {
  const notes = [];
  matrix.rows.forEach((row, y) => {
    const before = matrix.rows[y - 1];
    if (before && before.first.regime === row.first.regime) return;
    notes.push({
      xref: "paper", x: 1, xanchor: "left", xshift: 10, y, yanchor: "middle", showarrow: false,
      text: plain(TITLES.regime(row.first.regime)), font: { color: colours.muted, size: 12 },
    });
  });
  return notes;
}

function heatTrace(matrix, figure, colours) {
  const cells = matrix.rows.map((row) => matrix.columns.map((dataset) => row.cells.get(dataset)));
  const each = (get) => cells.map((row) => row.map(get));
  const score = (entry) => (entry && scoreOf(entry, figure.score) ? scoreOf(entry, figure.score).value : null);
  const printed = (entry) => {
    const words = cellText(entry, figure);
    return words && `${plain(words)} ${kindOf(entry.transfer).glyph}`;
  };
  const about = (entry) => {
    const found = entry && scoreOf(entry, figure.score);
    if (!found) return "";
    const lines = [
      `${figure.style.title} ${cellText(entry, figure)} ${intervalText(found, figure.style.decimals)}`,
      `fine-tuned on ${curriculumTitle(entry)}`, `scored on ${datasetTitle(entry)}`,
      kindOf(entry.transfer).title, ...marksOf(entry),
    ];
    return lines.map(plain).join("<br>");
  };
  return {
    type: "heatmap", z: each(score), xgap: 3, ygap: 3, showscale: false, hoverongaps: false,
    text: each(printed), texttemplate: "%{text}", textfont: { family: FONT, size: 14, color: colours.ink },
    customdata: each(about), hovertemplate: "%{customdata}<extra></extra>",
    colorscale: [[0, colours.low], [1, colours.high]],
  };
}

function drawHeat(figure, charts) {
  // Floors need no model: they stand beside each.
  const entries = figure.own.filter((entry) => entry.model === figure.model || entry.regime === "floor");
  const matrix = matrixOf(entries, figure.task);
  const heads = new Map(entries.map((entry) => [entry.dataset, entry]));
  const what = `${figure.style.title} of ${figure.model} on ${TITLES.task(figure.task)}`;
  find("heat-caption").textContent = entries.length
    ? `${what}. Rows: what it was fine-tuned on. Columns: what it was scored on. ` +
      "The stronger the blue, the higher the score; symbols and frames tell the kinds of transfer apart."
    : NO_ENTRIES;
  fillHeatTable(matrix, figure, heads, what);
  if (charts && entries.length) plotHeat(matrix, figure, heads, what);
}

function plotHeat(matrix, figure, heads, what) {
  const colours = palette();
  const lines = matrix.rows.map((row) => linesOf(row.title));
  const room = narrow() ? 0.42 * find("heat").parentElement.clientWidth : 430;
  const titles = matrix.columns.map((name) => [languageTitle(heads.get(name).language), name]);
  const cell = Math.max(narrow() ? 84 : 104, 14 + Math.max(0, ...titles.flat().map(widthOf)));
  const [left, right] = [Math.min(room, 24 + Math.max(0, ...lines.flat().map(widthOf))), 140];
  const width = left + right + cell * Math.max(1, matrix.columns.length);
  const height = 64 + 40 * Math.max(1, matrix.rows.length);
  const layout = {
    ...baseLayout(colours), width, height, margin: { l: left, r: right, t: 56, b: 8 },
    xaxis: axis(titles.map((title) => title.map(plain).join("<br>")), { side: "top", tickangle: 0 }),
    yaxis: axis(
      lines.map((title) => title.map((line) => label(line, left - 18)).join("<br>")),
      { range: [matrix.rows.length - 0.5, -0.5] },
    ),
    shapes: outlines(matrix, colours), annotations: regimeNotes(matrix, colours),
  };
  Plotly.react("heat", [heatTrace(matrix, figure, colours)], layout, QUIET);
  find("heat").style.zoom = printing.now ? Math.min(1, PAPER / width) : "";
  nameChart("heat", `Heat map: ${what}. The same values follow as a table.`);
}

function linesOf(title) {
  // On a narrow screen, what tells a row from its neighbours goes below its name.
  const parts = narrow() && title.match(/^(.*) (\(.*\))$/s);
  return parts ? parts.slice(1) : [title];
}

function axis(titles, more) {
  // Places are numbers and titles are their texts: plotly would take some names for dates.
  return {
    type: "linear", tickmode: "array", tickvals: titles.map((title, place) => place), ticktext: titles, showgrid: false,
    zeroline: false, ticks: "", ticklabelstandoff: 6, fixedrange: true, showline: false,
    range: [-0.5, titles.length - 0.5], ...more,
  };
}

function nameChart(id, label) {
  find(id).setAttribute("role", "img");
  find(id).setAttribute("aria-label", label);
  for (const one of find(id).querySelectorAll("svg")) one.setAttribute("aria-hidden", "true");
}

function fillHeatTable(matrix, figure, heads, what) {
  const titles = matrix.columns.map((name) => `${languageTitle(heads.get(name).language)} (${name})`);
  const body = matrix.rows.map((row) => make(
    "tr", {}, make("th", { scope: "row" }, row.title),
    matrix.columns.map((dataset) => {
      const entry = row.cells.get(dataset);
      const words = entry && cellText(entry, figure);
      const kind = words && make("span", { class: "small" }, kindOf(entry.transfer).title);
      return make("td", { class: "numeric" }, words ? [words, " ", kind] : NONE);
    }),
  ));
  find("heat-table").replaceChildren(
    make("caption", {}, `${what}.`),
    headRow(["Fine-tuned on", ...titles], 1), make("tbody", {}, body),
  );
}
