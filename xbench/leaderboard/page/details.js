// An entry in full: its scores, how it was made, and the records behind it.

const RECORD = /^results\/[\w.+@-]+(\/[\w.+@-]+)*\.json$/;

function pairs(items) {
  const shown = items.filter(([, content]) => content !== "" && content !== null && content !== undefined);
  return make("dl", { class: "pairs" }, shown.map(([name, content]) => make("div", {}, make("dt", {}, name), make("dd", {}, content))));
}

function recordLinks(text) {
  // A record lies beside the page: what looks like its path, and nothing else, becomes a link.
  return String(text).split(/(,?\s+)/).map((part) =>
    RECORD.test(part) && !part.includes("..") ? make("a", { href: part.split("/").map(encodeURIComponent).join("/") }, part) : part);
}

function scoreTable(entry) {
  const rows = [entry.primary, ...otherScores(entry)].filter((name) => scoreOf(entry, name)).map((name) => {
    const [score, style] = [scoreOf(entry, name), scoreStyle(entry.task, name)];
    const ceiling = entry.ceiling && entry.ceiling[name] !== undefined ? number(entry.ceiling[name], style.decimals) : "";
    return make(
      "tr", {}, make("th", { scope: "row" }, style.title),
      make("td", { class: "numeric" }, score.value === null ? "undefined" : number(score.value, style.decimals)),
      make("td", { class: "numeric" }, intervalText(score, style.decimals) || NONE),
      make("td", { class: "numeric" }, score.sd === null || score.sd === undefined ? NONE : number(score.sd, style.decimals)),
      entry.ceiling ? make("td", { class: "numeric" }, ceiling || NONE) : null,
    );
  });
  const titles = ["Score", "Value", "95% interval", "SD over seeds", ...(entry.ceiling ? ["Ceiling"] : [])];
  return make(
    "table", { class: "scores" }, make("caption", {}, "Scores"),
    make("thead", {}, make("tr", {}, titles.map((title, place) => make("th", { scope: "col", class: place ? "numeric" : "" }, title)))),
    make("tbody", {}, rows),
  );
}

function measureText(found, decimals, unit = "") {
  if (!found || found.value === null) return "";
  return `${number(found.value, decimals)}${unit} ${intervalText(found, decimals, unit)}`.trim();
}

function detailPanel(entry) {
  const decimals = scoreStyle(entry.task, entry.primary).decimals;
  const made = pairs([
    ["Task", TITLES.task(entry.task)], ["Model", entry.model], ["Fine-tuned on", curriculumTitle(entry)],
    ["Fine-tuned in", entry.sources.map(languageTitle).join(", ")], ["Regime", TITLES.regime(entry.regime)],
    ["Scored on", datasetTitle(entry)], ["Kind", kindOf(entry.transfer).title], ["Head", entry.head], ["Reading", entry.reading],
    ["Settings", entry.variant], ["Selection", entry.selection], ["Seeds", entry.seeds.join(", ")], ["Limits", entry.limits],
    ["Gap", measureText(entry.gap, decimals)], ["Degradation", measureText(entry.degradation, 1, "%")],
    ["Retention", measureText(entry.retention, 1, "%")], ["Overlap", entry.overlap], ["Marks", entry.marks.join("; ")],
  ]);
  const from = pairs([["Entry", entry.id], ...entry.provenance.map(([name, words]) => [name, recordLinks(words)])]);
  const title = `Provenance of ${entry.model}, ${curriculumTitle(entry)}, scored on ${datasetTitle(entry)}`;
  return make(
    "section", { id: `detail-${entry.id}`, class: "detail", "aria-label": title },
    make("div", { class: "part" }, scoreTable(entry)),
    make("div", { class: "part" }, make("h3", {}, "Entry"), made),
    make("div", { class: "part" }, make("h3", {}, "Provenance"), from),
  );
}
