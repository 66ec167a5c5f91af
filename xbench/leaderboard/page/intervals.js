// Models and curricula on one dataset, best first, each with its interval.

const MOST = 40;

function drawIntervals(figure, charts) {
  const datasets = datasetOrder(figure.task, figure.own);
  const languages = new Map(figure.own.map((entry) => [entry.dataset, entry.language]));
  const options = datasets.map((name) => [name, `${languageTitle(languages.get(name))} (${name})`]);
  const on = choose(find("on-form").elements.on, options, state.on);
  const score = (entry) => (scoreOf(entry, figure.score) || { value: null }).value;
  const ranked = figure.own
    .filter((entry) => entry.dataset === on && passes(entry) && known(score(entry)))
    .sort((a, b) => score(b) - score(a));
  const entries = ranked.slice(0, MOST);
  const models = new Set(entries.map((entry) => entry.model));
  const named = (entry) => models.size > 1 && entry.regime !== "floor";
  const titles = entries.map((entry) => (named(entry) ? `${entry.model}: ` : "") + rowTitle(entry, entries));
  const where = on ? `${languageTitle(languages.get(on))} (${on})` : "";
  const part = ranked.length > entries.length ? `the best ${entries.length} of ${ranked.length}` : `${entries.length}`;
  const shown = `${part} ${ranked.length === 1 ? "entry that passes" : "entries that pass"} the filters`;
  const whose = models.size === 1 && entries.length > 1 ? `, all of ${entries[0].model}` : "";
  const nothing = on ? `No entry that passes the filters has ${figure.style.title} on ${where}.` : NO_ENTRIES;
  find("plot-caption").textContent = entries.length
    ? `${figure.style.title} on ${where}, ${shown}${whose}. Lines are 95% intervals.`
    : nothing;
  find("plot").hidden = !entries.length;
  find("plot-details").hidden = !entries.length;
  if (charts && entries.length) plotIntervals(entries, titles, figure);
  fillPlotTable(entries, titles, figure, where);
}

function plotIntervals(entries, titles, figure) {
  const colours = palette();
  const scores = entries.map((entry) => scoreOf(entry, figure.score));
  const away = (end) => scores.map((score) => (known(score[end]) ? Math.abs(score[end] - score.value) : 0));
  const kinds = entries.map((entry) => kindOf(entry.transfer));
  const texts = entries.map((entry, place) => {
    const score = scores[place];
    const value = `${number(score.value, figure.style.decimals)} ${intervalText(score, figure.style.decimals)}`;
    return [entry.model, titles[place], value, kindOf(entry.transfer).title, ...marksOf(entry)].map(plain).join("<br>");
  });
  const trace = {
    type: "scatter", mode: "markers", x: scores.map((score) => score.value), y: entries.map((entry, place) => place),
    error_x: {
      type: "data", symmetric: false, array: away("high"), arrayminus: away("low"), color: colours.ink, thickness: 1.4,
      width: 3,
    },
    marker: {
      symbol: kinds.map((kind) => kind.symbol), size: kinds.map((kind) => (kind.fill ? 10 : 11)), opacity: 1,
      color: kinds.map((kind) => (kind.fill ? colours.accent : colours.paper)),
      line: { width: 2, color: colours.accent },
    },
    customdata: texts, hovertemplate: "%{customdata}<extra></extra>",
  };
  const width = printing.now ? PAPER : find("plot").parentElement.clientWidth;
  const tight = narrow();
  const left = tight ? 8 : Math.min(width * 0.55, 30 + Math.max(...titles.map(widthOf)));
  const step = tight ? 40 : 26;
  const layout = {
    ...baseLayout(colours), width, height: step * entries.length + 70,
    margin: { l: left, r: 16, t: 8, b: 52 },
    xaxis: {
      type: "linear", title: { text: plain(figure.style.title), font: { size: 13 } }, gridcolor: colours.rule,
      zeroline: false, fixedrange: true,
    },
    yaxis: axis(titles.map((title) => label(title, left - 18)), { showticklabels: !tight, range: [entries.length - 0.5, tight ? -0.8 : -0.5] }),
    annotations: tight ? titles.map((title, y) => above(label(title, width - 24), y)) : [],
  };
  Plotly.react("plot", [trace], layout, QUIET);
  const what = find("plot-caption").textContent;
  nameChart("plot", `Scores with their 95% intervals: ${what} The same values follow as a table.`);
}

function above(text, y) {
  return {
    xref: "paper", x: 0, xanchor: "left", y, yanchor: "bottom", yshift: 8, showarrow: false, bgcolor: palette().paper,
    text, font: { size: 12 },
  };
}

function fillPlotTable(entries, titles, figure, where) {
  const rows = entries.map((entry, place) => {
    const score = scoreOf(entry, figure.score);
    return make(
      "tr", {}, make("th", { scope: "row" }, titles[place]), make("td", {}, kindCell(entry)),
      make("td", { class: "numeric" }, number(score.value, figure.style.decimals)),
      make("td", { class: "numeric" }, intervalText(score, figure.style.decimals) || NONE),
    );
  });
  const head = ["Entry", "Kind", figure.style.title, "95% interval"];
  find("plot-table").replaceChildren(
    make("caption", {}, `${figure.style.title} on ${where}.`),
    headRow(head, 2), make("tbody", {}, rows),
  );
}
